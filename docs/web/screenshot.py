# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Photograph the page that draws in the browser: `python docs/web/screenshot.py page`.

It needs the extra `test` and Debian's `chromium`, opens the page as a file, and writes its pictures beside itself.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


FOLDER = Path(__file__).parent
SCRIPT = "document.querySelector('#progress').value"


def main(dist: str) -> None:
    url = Path(dist, "index.html").resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 960, "height": 1000})
        page.set_default_timeout(300_000)
        page.goto(f"{url}#class=3&seed=0")
        while page.evaluate(SCRIPT) < 0.5 or page.locator("#stop").is_disabled():
            page.wait_for_timeout(20)
        page.screenshot(path=FOLDER / "growing.png")
        page.get_by_text("Done: 64 candidates").wait_for()
        page.screenshot(path=FOLDER / "page.png", clip={"x": 0, "y": 0, "width": 960, "height": 1000})
        phone = browser.new_page(viewport={"width": 390, "height": 1000}, color_scheme="dark")
        phone.set_default_timeout(300_000)
        phone.goto(f"{url}#class=7&seed=1&selection=diverse")
        phone.get_by_text("Done: 64 candidates").wait_for()
        phone.screenshot(path=FOLDER / "phone.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
