"""Makes docs/pictures/view.png, the picture of the live view, from a run of lab-nat in a real browser:

.venv/bin/python -m tests.view.make_picture RUN docs/pictures/view.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.labs import browser
from view import run, single_file
from view.command import items_of

SIZE = {"width": 1240, "height": 980}
REQUEST, HOP = 4, 5  # the packet with the request, as it leaves the director


def main(name: str, target: str) -> None:
    folder = run.find(name)
    document = run.document(folder)
    page_file = Path(target).resolve().with_suffix(".html")
    page_file.write_text(single_file.whole(document, items_of(folder, document)))
    try:
        with (
            browser.browser() as chromium,
            browser.opened(
                chromium, page_file.as_uri(), device_scale_factor=1.4, reduced_motion="reduce"
            ) as page,
        ):
            page.set_viewport_size(SIZE)
            page.evaluate(f"page.player.choose(page.player.connection.key, {REQUEST - 1}, {HOP - 1})")
            page.evaluate("document.querySelector('.chooser').open = false; document.activeElement.blur()")
            browser.settled(page)
            page.screenshot(path=target)
    finally:
        page_file.unlink()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"{__doc__}\nExpected a run and a file, got {len(sys.argv) - 1} arguments.")
    if browser.missing():
        sys.exit(browser.missing())
    main(sys.argv[1], sys.argv[2])
