"""Pages of the site that lie elsewhere: results of the benchmarks, and the notebooks.

A hook of MkDocs. Pages link to them where they are in the repository.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ELSEWHERE = {  # folder of the repository: folder of the site
    "benchmarks/results": "results",
    "examples/notebooks": "notebooks",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the Markdown of the results, which becomes pages, and the notebooks."""
    root = Path(config.config_file_path).parent
    for folder, place in ELSEWHERE.items():
        for path in sorted((root / folder).iterdir()):
            if path.suffix in {".md", ".ipynb"}:
                uri = f"{place}/{path.name}"
                files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links that leave the documentation, as links of the site."""
    for folder, place in ELSEWHERE.items():
        markdown = re.sub(rf"\]\((?:\.\./)+{folder}/", f"]({place}/", markdown)
    return markdown
