"""Headless Chromium with its driver, as Debian has them (`apt install chromium-driver`)."""

import importlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# What is folded, and what is drawn only when it is near, takes its place.
OPEN_ALL = """
for (const each of document.querySelectorAll('details')) each.open = true;
for (const each of document.querySelectorAll('.later')) each.style.contentVisibility = 'visible';
"""


def start(profile: Path) -> Any:
    """A browser that logs what it says and what it asks for. Needs Chromium, and selenium."""
    webdriver = importlib.import_module("selenium.webdriver")
    service = importlib.import_module("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=service.Service(DRIVER))
    browser.get("about:blank")  # its own first page asks for things, for as long as it is there
    return browser


def emulate(browser: Any, width: int, scheme: str) -> None:
    """A screen of that width, in that colour scheme, and nothing logged yet."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wish = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wish, "media": ""})
    for log in ("browser", "performance"):
        browser.get_log(log)


def show(browser: Any, path: Path, width: int, scheme: str = "light") -> Any:
    """The browser, with a page opened and its charts drawn."""
    emulate(browser, width, scheme)
    browser.get(path.as_uri())
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    return browser


def await_(condition: Callable[[], Any], limit: float = 30) -> None:
    """Until it is true. Raises AssertionError after `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not so after {limit:g} seconds"
        time.sleep(0.05)
