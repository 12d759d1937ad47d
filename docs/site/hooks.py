"""Hooks of mkdocs.yml: pages outside docs/, and links as they are on the site.

The pages are written for the repository, where `../benchmarks/cpu.md` is right. On the site README.md is the first
page, benchmarks/*.md and CONTRIBUTING.md are pages too, and links to source files are plain text.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OTHERS = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
"""Pages at the root of the repository, with their places on the site."""
LOG = logging.getLogger("mkdocs.hooks.links")
"""A warning here ends the strict build."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that stand outside docs/."""
    found = [ROOT / name for name in OTHERS]
    found += [file for file in sorted((ROOT / "benchmarks").iterdir()) if file.suffix in {".md", ".png"}]
    for file in found:
        place = site_place(file.relative_to(ROOT).as_posix())
        files.append(File.generated(config, place, abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to the site's own pages; keep the words of a link that leads to no page."""
    source = next((name for name, place in OTHERS.items() if place == page.file.src_uri), None)
    origin = source or (
        page.file.src_uri if page.file.src_uri.startswith("benchmarks/") else f"docs/{page.file.src_uri}"
    )

    def moved(link: "re.Match[str]") -> str:
        picture, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if not (ROOT / path).exists():
            LOG.warning("%s links to %s, which does not exist", origin, target)
        place = site_place(path)
        if files.get_file_from_path(place) is None:
            return words
        here = posixpath.dirname(page.file.src_uri)
        return f"{picture}[{words}]({posixpath.relpath(place, here or '.')}{anchor})"

    return LINK.sub(moved, markdown)


def site_place(path: str) -> str:
    """Return where a file of the repository stands on the site."""
    return OTHERS.get(path, path.removeprefix("docs/"))
