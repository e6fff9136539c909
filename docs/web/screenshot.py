# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Photograph the page that draws in the browser: `python docs/web/screenshot.py examples/web/dist`.

It needs the extra `test` and Debian's `chromium`, opens the page as a file, and writes its picture beside itself.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


FOLDER = Path(__file__).parent


def main(dist: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 760})
        page.set_default_timeout(300_000)
        page.goto(Path(dist, "index.html").resolve().as_uri())
        page.get_by_text("Choose a class").wait_for()
        page.get_by_role("radio", name="3", exact=True).check()
        page.get_by_role("button", name="Draw", exact=True).click()
        page.get_by_text("Done: 16 candidates").wait_for()
        page.screenshot(path=FOLDER / "page.png")
        print(page.get_by_role("status").inner_text())
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
