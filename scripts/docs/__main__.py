"""Writes what is made from the code: `python -m scripts.docs`; `site [FOLDER]` builds the site, `recording` plays a session,
`pictures` takes those of the dashboard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_models.installer.install import UnfitBoxError
from local_models.installer.progress import StepFailedError
from scripts.docs.pages import DOCS, stale, write
from scripts.docs.pictures import PicturesError, make_pictures
from scripts.docs.recording import make
from scripts.docs.site import SiteError, build


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("pages", "check", "site", "recording", "pictures"), default="pages")
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS.parent / "build" / "site")
    chosen = parser.parse_args()
    if chosen.what == "pages":
        write()
    elif chosen.what == "check":
        old = stale()
        print(*(f"{path}: not as the code has it: run `python -m scripts.docs`" for path in old), sep="\n")
        return 1 if old else 0
    elif chosen.what == "recording":
        print(f"the recording is in {make(DOCS)}")
    else:
        try:
            if chosen.what == "pictures":
                print(f"{make_pictures(DOCS / 'pictures')} pictures are in {DOCS / 'pictures'}")
            else:
                build(chosen.folder)
                print(f"the site is in {chosen.folder}")
        except (SiteError, UnfitBoxError, StepFailedError, PicturesError) as failed:
            print(failed, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
