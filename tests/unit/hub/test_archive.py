import contextlib
import gzip
import io
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.errors import HubError
from dure.hub import archive
from dure.hub.archive import Packed, diff_id, pack, unpack


def packed(files: dict[str, Path], target: Path) -> Packed:
    with target.open("wb") as file:
        return pack(files, file)


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar_gz(path: Path, *members: tuple[tarfile.TarInfo, bytes], cut: int = 0) -> Path:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(tar.getvalue()[: -cut or None]))
    return path


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    files = {"두레/글.txt": b"text", "a/b/c.bin": os.urandom(70_000), "empty": b"", "x" * 200: b"long name"}
    for name, content in files.items():
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(content)
    (tmp_path / "from" / "empty").chmod(0o700)
    done = packed({name: tmp_path / "from" / name for name in files}, tmp_path / "x.tar.gz")
    unpack(tmp_path / "x.tar.gz", tmp_path / "to")

    assert {name: (tmp_path / "to" / name).read_bytes() for name in files} == files
    assert (tmp_path / "to" / "empty").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "to" / "a/b/c.bin").stat().st_mode & 0o777 == 0o644
    assert done.num_files == 4
    assert done.unpacked_bytes == sum(map(len, files.values()))
    assert done.size == (tmp_path / "x.tar.gz").stat().st_size


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    for i, order in enumerate(("ab", "ba")):
        (tmp_path / str(i)).mkdir()
        for name in order:
            (tmp_path / str(i) / name).write_text(name)
            os.utime(tmp_path / str(i) / name, (i, i))
        files = {name: tmp_path / str(i) / name for name in order}
        packed(files, tmp_path / f"{i}.tar.gz")
        assert diff_id(files) == packed(files, tmp_path / "again").diff_id
    assert (tmp_path / "0.tar.gz").read_bytes() == (tmp_path / "1.tar.gz").read_bytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("../out"), "'../out' leads out of its folder"),
        (member("a/../../out"), "leads out"),
        (member("./a"), "leads out of its folder, or is not written plainly"),
        (member("/etc/evil"), "'/etc/evil' is no path relative"),
        (member("a\\..\\b"), "no path relative"),
        (member("C:/x"), "no path relative"),
        (member("a\x1b[2J"), "control character"),
        (member("ok", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link to '/etc/passwd'"),
        (member("ok", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link to '/etc/passwd'"),
        (member("dev", type=tarfile.CHRTYPE), "no plain file or folder"),
        (member("dev", type=tarfile.BLKTYPE), "no plain file or folder"),
        (member("pipe", type=tarfile.FIFOTYPE), "no plain file or folder"),
        (member("first"), "'first' is there twice"),
        (member("FIRST"), "'FIRST' is there twice"),
        (member("first/below"), "stands below a file"),
        (member("first", type=tarfile.DIRTYPE), "twice"),
        (member("n" * 300), "too long a name"),
        (member("d/" * 600 + "x"), "too long a name"),
    ],
)
def test_a_bad_member_is_named_and_nothing_leaves_the_folder(
    tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    source = tar_gz(tmp_path / "x.tar.gz", member("first", b"fine"), bad)
    with pytest.raises(HubError) as caught:
        unpack(source, tmp_path / "to")
    assert reason in str(caught.value)
    assert {path.name for path in tmp_path.rglob("*")} <= {"x.tar.gz", "to", "first"}


def test_what_is_cut_off_is_broken(tmp_path: Path) -> None:
    whole = tar_gz(tmp_path / "x.tar.gz", member("a", b"content" * 1000))
    for size in (0, 1, 20, whole.stat().st_size - 4):
        part = tmp_path / f"{size}.tar.gz"
        part.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(HubError, match="broken"):
            unpack(part, tmp_path / f"to{size}")
    cut = tar_gz(tmp_path / "cut.tar.gz", member("a", b"content" * 1000), cut=9000)
    with pytest.raises(HubError, match=r"broken|ends within"):
        unpack(cut, tmp_path / "cut")


def test_what_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_FREE_OF_RATIO_BYTES", 10**6)
    (tmp_path / "zeros").write_bytes(bytes(2 * 10**6))
    with pytest.raises(HubError, match="made to fill disks"):
        packed({"zeros": tmp_path / "zeros"}, tmp_path / "x.tar.gz")
    for name in ("first", "second"):
        with pytest.raises(HubError, match="unpacks to more than 1,000,000 bytes"):
            unpack(tmp_path / "x.tar.gz", tmp_path / name)


def test_too_many_and_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    (tmp_path / "a").write_bytes(b"1234")
    with pytest.raises(HubError, match="There are 4 files; 3 are the most"):
        packed({str(i): tmp_path / "a" for i in range(4)}, tmp_path / "x")
    source = tar_gz(tmp_path / "x.tar.gz", *(member(str(i)) for i in range(4)))
    with pytest.raises(HubError, match="more than 3 members"):
        unpack(source, tmp_path / "many")
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 10)
    with pytest.raises(HubError, match=r"more than 10 bytes together, up to '2'"):
        packed({str(i): tmp_path / "a" for i in range(3)}, tmp_path / "x")
    with pytest.raises(HubError, match=r"'large' claims 11 bytes"):
        unpack(tar_gz(tmp_path / "large.tar.gz", member("large", b"x" * 11)), tmp_path / "large")


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = 8 * 2**30
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(HubError, match="claims 8,589,934,592 bytes"):
        unpack(tmp_path / "x.tar.gz", tmp_path / "to")


def test_names_that_are_one_file_elsewhere_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(HubError, match="'Readme' and 'README' are one file on some machines"):
        packed({"Readme": tmp_path / "a", "README": tmp_path / "a"}, tmp_path / "x")


NAMES = st.one_of(
    st.sampled_from(["a", "a/b", "b", "..", "../a", "/a", "a/../b", ".", "", "a//b", "a/", "config.yml"]),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=12),
)
KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"S", b"x"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, KINDS, NAMES, st.binary(max_size=20)), max_size=5), st.binary(max_size=600))
def test_whatever_is_in_it_nothing_is_written_elsewhere(
    members: list[tuple[str, bytes, str, bytes]], rubbish: bytes
) -> None:
    with TemporaryDirectory() as folder:
        top = Path(folder, "top")
        top.mkdir()
        entries = [member(name, content, type=kind, linkname=link) for name, kind, link, content in members]
        source = tar_gz(top / "x.tar.gz", *entries)
        if rubbish:
            source.write_bytes(gzip.compress(gzip.decompress(source.read_bytes())[: -len(rubbish)] + rubbish))
        with contextlib.suppress(HubError):
            unpack(source, top / "to")
        assert set(os.listdir(folder)) == {"top"}
        assert set(os.listdir(top)) <= {"x.tar.gz", "to"}
        assert not any(path.is_symlink() or path.is_fifo() for path in top.rglob("*"))
