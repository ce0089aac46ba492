"""Renders each docs/diagrams/*.puml to PNG and SVG, by one pinned version of PlantUML.

    python docs/diagrams/make.py              fetch PlantUML, render, write manifest.json
    python docs/diagrams/make.py --jar FILE   the same with a jar that is there already

Needs Java 11 or newer and, unless --jar is given, Maven, whose mirrors and cache are used. Other bytes
than those of the pinned jar are refused. No Graphviz: sequence diagrams do without. The fonts are the
system's; those committed were drawn with DejaVu.

manifest.json remembers of which sources the pictures were made; a test compares, without Java.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
MANIFEST: Final = HERE / "manifest.json"
STYLE: Final = HERE / "style.iuml"
CACHE: Final = HERE.parents[1] / "build" / "plantuml"

VERSION: Final = "1.2026.8"
ARTIFACT: Final = f"net.sourceforge.plantuml:plantuml-mit:{VERSION}"
JAR_SHA256: Final = "8a171e8941d1f68f4ec28f5c180a4bf8d54a2cd679348370d4ba59fc9fb910e3"

# PNGs for screens of twice the usual resolution would be too wide for a page; 1.5 times fits.
FORMATS: Final = {"png": ["-tpng", "-Sdpi=144"], "svg": ["-tsvg"]}


def sha256(*files: Path) -> str:
    """Return the hash of the contents, one after the other."""
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()


def sources() -> list[Path]:
    return sorted(HERE.glob("*.puml"))


def describe() -> dict[str, object]:
    """Return what the manifest should hold for the files that are there now."""
    diagrams = {
        source.stem: {
            "source": sha256(source, STYLE),
            **{kind: sha256(source.with_suffix(f".{kind}")) for kind in FORMATS},
        }
        for source in sources()
    }
    return {"plantuml": VERSION, "jar": JAR_SHA256, "diagrams": diagrams}


def fetch() -> Path:
    """Return the jar, from the cache or through Maven."""
    jar = CACHE / f"plantuml-mit-{VERSION}.jar"
    if not jar.exists():
        maven = shutil.which("mvn") or sys.exit("Maven (mvn) is needed to fetch PlantUML, or --jar FILE")
        fetched = [f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={CACHE}"]
        subprocess.run([maven, "--quiet", "--batch-mode", "dependency:copy", *fetched], check=True)
    return jar


def render(jar: Path) -> None:
    """Draw all diagrams; a mistake in one of them leaves every picture as it was."""
    java = shutil.which("java") or sys.exit("Java is needed to run PlantUML")
    command = [java, "-Djava.awt.headless=true", "-jar", str(jar), "-failfast2", "-nometadata"]
    with tempfile.TemporaryDirectory() as folder:
        for kind, options in FORMATS.items():
            drawn = [*command, *options, "-charset", "UTF-8", "-o", folder, *map(str, sources())]
            subprocess.run(drawn, check=True)
            for source in sources():
                shutil.copy(Path(folder) / f"{source.stem}.{kind}", HERE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jar", type=Path, help="PlantUML's jar, of the pinned version")
    jar = parser.parse_args().jar or fetch()
    if sha256(jar) != JAR_SHA256:
        sys.exit(f"{jar} is not the jar of {ARTIFACT} that is pinned here")
    render(jar)
    MANIFEST.write_text(json.dumps(describe(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
