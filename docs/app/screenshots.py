# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Photograph the page with the shipped weights: `python docs/app/screenshots.py`.

It needs the extra `test` and Debian's `chromium`, and writes its pictures beside itself.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright


FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "examples" / "app"))
import app  # noqa: E402


# what is known of a digit: row and column of the points of a stroke on the pad
STROKE = [(8, 9), (6, 12), (5, 15), (6, 19), (8, 20), (11, 18), (14, 15)]


def main() -> None:
    _, url, _ = app.launch(app.build_page(app.load_pipeline(None)), prevent_thread_lock=True, quiet=True)
    link = f"{url}?class=3&candidates=64&seed=0&temperature=0.8&selection="
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        draw(open_page(browser, f"{link}best", width=1200, height=1150), "draw.png")
        complete(open_page(browser, url, width=1200, height=1220))
        draw(open_page(browser, f"{link}diverse", width=360, height=1150, color_scheme="dark"), "phone.png")
        browser.close()


def open_page(browser: Browser, url: str, width: int, height: int, **options) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.set_default_timeout(300_000)
    page.goto(url)
    return page


def draw(page: Page, name: str) -> None:
    page.get_by_text("Done: 64 candidates").wait_for()
    page.get_by_role("group", name="The best").or_(page.get_by_role("group", name="Good ones")).wait_for()
    page.screenshot(path=FOLDER / name)


def complete(page: Page) -> None:
    page.get_by_role("tab", name="Complete").click()
    box = page.locator("#pad canvas").bounding_box()
    points = [(box["x"] + column / 30 * box["width"], box["y"] + row / 30 * box["height"]) for row, column in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()
    page.get_by_label("Completions").fill("8")
    page.get_by_role("button", name="Complete", exact=True).click()
    page.get_by_text("Done: 8 completions").wait_for()
    page.screenshot(path=FOLDER / "complete.png")


if __name__ == "__main__":
    main()
