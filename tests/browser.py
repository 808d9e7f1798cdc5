"""A headless Chromium for the tests of pages, and what they look for in it."""

from contextlib import contextmanager
from pathlib import Path

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1500,1000",
)
DEEP = """
const found = [];
const look = root => root.querySelectorAll('*').forEach(e => {
  if (e.matches(arguments[0])) found.push(e);
  if (e.shadowRoot) look(e.shadowRoot);
});
look(document);
"""


@contextmanager
def chromium(profile):
    """A driver that records the console and every request; closed in the end."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    logs = {"browser": "ALL", "performance": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def everywhere(driver, selector):
    """Elements that match, inside of shadow roots too."""
    return driver.execute_script(DEEP + "return found", selector)
