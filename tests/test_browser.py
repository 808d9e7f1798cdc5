"""Report and viewer in a real browser: what a user sees, clicks and is refused."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress

import numpy as np
import psutil
import pytest

import lsml

pytest.importorskip("selenium", reason='needs pip install "lsml[test]"')
pytest.importorskip("panel", reason='needs pip install "lsml[view]"')
pytest.importorskip("jinja2", reason='needs pip install "lsml[report]"')

from browser import CHROMIUM, DRIVER, chromium, everywhere

from lsml.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # of selenium
]
LABELS = np.random.default_rng(5).integers(0, 2, (8, 7, 6))
PATIENCE = 60  # seconds
PIXELS = """
return arguments[0].map(canvas => {
  const {width, height} = canvas;
  if (!width || !height) return [0, 0];
  const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  const seen = new Set();
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    const colour = data[i] * 65536 + data[i + 1] * 256 + data[i + 2];
    seen.add(colour);
    sum = (sum * 31 + colour + data[i + 3]) % 1000000007;
  }
  return [seen.size, sum];
});
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for rule in ("cg", "moulinec"):
        lsml.solve(LABELS, rule, tol=1e-4, record=True).save(folder / f"{rule}.h5")
    return folder


@pytest.fixture(scope="module")
def server(results):
    """The command itself; interrupted in the end, it says nothing and is content."""
    command = [sys.executable, "-m", "lsml", "view", "cg.h5", "moulinec.h5"]
    process = subprocess.Popen(
        [*command, "--no-browser"],
        cwd=results,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_interrupts,
    )
    try:
        line = process.stdout.readline()
        yield process, re.match(r"http://127\.0\.0\.1:\d+/", line)[0]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()


def _heeds_interrupts():
    """Also where the tests run in the background, whose children ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"needs {program}")
    with chromium(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def page(driver, server):
    """The viewer, painted."""
    driver.get(server[1])
    until(lambda: len(pictures(driver)) == 5, "two maps, two differences, one plot")
    return driver


def until(true, what):
    """What the browser has yet to draw; an error if it does not come."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(Exception):
            if true():
                return
        time.sleep(0.1)
    pytest.fail(f"in vain waited for {what}")


def pictures(driver):
    """Number of colours and a sum over the pixels of each canvas that is painted."""
    canvases = everywhere(driver, "canvas")
    return [tuple(p) for p in driver.execute_script(PIXELS, canvases) if p[0] > 8]


def changes(driver, act, what):
    """All maps are another picture after the act."""
    before = pictures(driver)
    act()

    def other():
        now = pictures(driver)
        return all(a != b for a, b in zip(before[:2], now[:2], strict=True))

    until(other, what)


def handle(driver, name):
    """What is dragged of the slider of that name."""
    for slider in everywhere(driver, ".bk-input-group"):
        if slider.text.startswith(name):
            return slider.find_element("css selector", ".noUi-handle")
    raise LookupError(name)


def test_a_report_is_read_without_network(driver, results):
    write_report(results / "cg.h5", results / "cg.html")
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get((results / "cg.html").as_uri())
    text = driver.find_element("tag name", "body").text
    for word in ("cg.h5", "CONVERGED", "Volume averages", "Provenance", "ν"):
        assert word in text
    widths = driver.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.width])"
    )
    assert len(widths) == 8
    assert all(
        complete and natural > 0 and shown > 0 for complete, natural, shown in widths
    )
    assert driver.get_log("browser") == []
    assert {url.partition(":")[0] for url in requested(driver)} <= {"file", "data"}


def requested(driver):
    """Addresses that pages have asked for."""
    entries = (
        json.loads(e["message"])["message"] for e in driver.get_log("performance")
    )
    sent = [e for e in entries if e["method"] == "Network.requestWillBeSent"]
    urls = [e["params"]["request"]["url"] for e in sent]
    return [url for url in urls if not url.startswith(("chrome:", "about:"))]


def test_results_stand_beside_each_other(page):
    names = [e.text for e in everywhere(page, ".name")]
    assert names == ["cg", "moulinec"]
    left, right = (e.rect for e in everywhere(page, ".name"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    told = everywhere(page, "table.facts")[0].text
    assert told.count("CONVERGED") == 2


def test_every_choice_changes_the_pictures(page):
    """Field, slice, axis and iteration by the keyboard and the mouse."""
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    def press(name, key):
        return lambda: handle(page, name).send_keys(key)

    field = everywhere(page, "select")[0]
    options = [option.text for option in Select(field).options]
    assert options == ["strain", "stress", "displacement", "labels"]
    changes(page, press("Slice", Keys.ARROW_RIGHT), "the next slice")
    changes(page, press("Iteration", Keys.HOME), "the first iterate")
    changes(page, lambda: Select(field).select_by_value("stress"), "the stress")
    buttons = {b.text: b for b in everywhere(page, "button.bk-btn") if b.text}
    changes(page, buttons["22"].click, "another component")
    axis = next(b for b in everywhere(page, "button.bk-btn") if b.text == "1")
    changes(page, axis.click, "another axis")


def test_nothing_was_asked_of_other_machines(page, server):
    """Scripts and fonts come from the server: the page works without network."""
    asked = requested(page)
    assert any(url.startswith(server[1]) for url in asked)
    foreign = [u for u in asked if not u.startswith((server[1], "data:", "blob:"))]
    assert foreign == []
    errors = [e for e in page.get_log("browser") if e["level"] == "SEVERE"]
    assert errors == []


def status(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_this_machine_is_answered(server):
    """A page of another name that resolves to the loopback must not read results."""
    process, url = server
    sockets = psutil.Process(process.pid).net_connections("inet")
    listening = [s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    port = url.rstrip("/").rpartition(":")[2]
    assert status(url) == 200
    assert status(url, Host=f"localhost:{port}") == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1:1", "localhost"):
        assert status(url, Host=host) == 403
        assert status(f"{url}static/js/bokeh.min.js", Host=host) == 403


def test_websockets_of_other_pages_are_refused(server):
    """With a valid token, so that only the origin differs."""
    url = server[1]
    host = url.removeprefix("http://").rstrip("/")
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        token = re.search(r'"token":\s*"([^"]+)"', answer.read().decode())[1]
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"bokeh, {token}",
    }
    told = {}
    for origin in (f"http://{host}", "http://evil.example", "http://127.0.0.1:1"):
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        connection.request("GET", "/ws", headers={"Origin": origin, **upgrade})
        told[origin] = connection.getresponse().status
        connection.close()
    assert list(told.values()) == [101, 403, 403]


def test_no_file_outside_is_served(server, results):
    (results / "secret.txt").write_text("secret")
    for path in (
        "secret.txt",
        "static/../secret.txt",
        "static/%2e%2e/%2e%2e/secret.txt",
        "static/extensions/panel/%2e%2e/%2e%2e/__init__.py",
        f"static/{results}/secret.txt",
    ):
        assert status(server[1] + path) in (400, 403, 404)
