"""Takes one member out of a wheel, and nothing else: `extract.py WHEEL MEMBER TARGET`.

A wheel is a zip archive. Unpacking all of it would write tens of megabytes that
nobody needs, under names that the archive chooses; here the caller chooses.

A member that ends with a slash is a folder: its files become one tar archive, in
the order of their names, without times, owners or modes, so that the same wheel
makes the same bytes everywhere.
"""

import io
import os
import shutil
import sys
import tarfile
import zipfile


def pack(archive, folder, target):
    names = sorted(name for name in archive.namelist() if name.startswith(folder) and not name.endswith("/"))
    if not names:
        raise KeyError(folder)
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            content = archive.read(name)
            entry = tarfile.TarInfo(name[len(folder):])
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def main():
    if len(sys.argv) != 4:
        raise SystemExit(f"usage: {os.path.basename(sys.argv[0])} WHEEL MEMBER TARGET")
    wheel, member, target = sys.argv[1:]
    try:
        with zipfile.ZipFile(wheel) as archive:
            if member.endswith("/"):
                pack(archive, member, target)
                return
            with archive.open(member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    except KeyError:
        raise SystemExit(f"{wheel} has no member {member}")
    except zipfile.BadZipFile as error:
        raise SystemExit(f"{wheel} is not a wheel: {error}")


if __name__ == "__main__":
    main()
