"""Takes one member out of a wheel, and nothing else: `extract.py WHEEL MEMBER TARGET`.

A wheel is a zip archive. Unpacking all of it would write tens of megabytes that
nobody needs, under names that the archive chooses; here the caller chooses.
"""

import os
import shutil
import sys
import zipfile


def main():
    if len(sys.argv) != 4:
        raise SystemExit(f"usage: {os.path.basename(sys.argv[0])} WHEEL MEMBER TARGET")
    wheel, member, target = sys.argv[1:]
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except KeyError:
        raise SystemExit(f"{wheel} has no member {member}")
    except zipfile.BadZipFile as error:
        raise SystemExit(f"{wheel} is not a wheel: {error}")


if __name__ == "__main__":
    main()
