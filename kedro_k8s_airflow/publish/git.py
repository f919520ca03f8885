"""Git, as far as publishing needs it: one function that runs it, and a repository's objects, branches and remotes.

Only git's own commands are used, so configuration, credentials and hooks of a push work as in a shell. What git says is shown as it is,
but for passwords in addresses. Nothing here writes into a work tree; that is `checkout.py`.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kedro_k8s_airflow.findings import Refused, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Of a repository that git was called from, such as the project's when this runs in one of its hooks.
_OTHERS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# For reading what git says, for leaving other repositories alone, and for messages in UTF-8 whatever the user's commits are in.
_SET = (
    "core.quotePath=false",
    "gc.auto=0",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
)
# What may be a secret in an address: all before the host, where a token can be the user; elsewhere a password; and a query.
_SECRETS = (
    (re.compile(r"(https?://)[^\s'\"]*@", re.IGNORECASE), r"\1***@"),
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"]*):[^\s'\"]*@"), r"\1:***@"),
    (re.compile(r"(://[^\s'\"?]*\?)[^\s'\"]+"), r"\1***"),
)
FILE, EXECUTABLE, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
_BRANCHES = "refs/heads/"


class GitError(Exception):
    """A git command that has failed; the message is its own."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file in a tree: its mode as git writes it, and its object."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Git:
    """A repository on this machine.

    Attributes:
        folder: where git runs: the top of a work tree, or a bare repository.
        bare: whether it is known to be bare, so that git need not find that out.
    """

    folder: Path
    bare: bool = False

    def run(self, *arguments: str, stdin: bytes = b"", index: Path | None = None) -> bytes:
        """The stdout of a git command.

        Args:
            arguments: of git.
            stdin: what it reads.
            index: another index than the repository's own.

        Raises:
            Failed: when it does.
            Refused: when there is no git.
        """
        env = _environment()
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        where = [f"--git-dir={self.folder}"] if self.bare else []
        command = ["git", *where, *(word for one in _SET for word in ("-c", one)), *arguments]
        try:
            done = subprocess.run(command, cwd=self.folder, env=env, input=stdin, capture_output=True, check=False)
        except FileNotFoundError:
            raise refuse("publish-git", "git", "is not on PATH.", "Install it.") from None
        if done.returncode:
            said = b"\n".join(text.strip() for text in (done.stderr, done.stdout) if text.strip())
            raise GitError(mask_credentials(said.decode("utf-8", "replace")))
        return done.stdout

    def text(self, *arguments: str) -> str:
        """The stdout of a git command, without the last newline."""
        return os.fsdecode(self.run(*arguments)).rstrip("\n")

    def ask(self, *arguments: str) -> str | None:
        """The same, or None when the command fails: for questions."""
        try:
            return self.text(*arguments)
        except GitError:
            return None

    # --- what is there

    def commit(self, name: str) -> str | None:
        """The commit that a name means."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def path(self, name: str) -> Path:
        """A file of the repository's own, such as `index`; each work tree may have another."""
        return self.folder / self.text("rev-parse", "--git-path", name)

    def branch(self, name: str) -> str | None:
        """The commit of a branch: of this repository, else of the remote as it was seen last."""
        remote = self.remote(name)
        names = (f"{_BRANCHES}{name}", f"refs/remotes/{remote}/{name}")
        return next(filter(None, map(self.commit, names)), None)

    def branches(self) -> set[str]:
        """The names of all branches, of this repository and of its remotes."""
        found = self.text("for-each-ref", "--format=%(refname:lstrip=2)", _BRANCHES).splitlines()
        for line in self.text("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/").splitlines():
            found += [line] if line != "HEAD" else []
        return set(found)

    def head(self) -> str | None:
        """The branch that is checked out, born or not; None when the head is detached."""
        found = self.ask("symbolic-ref", "--quiet", "HEAD")
        return found.removeprefix(_BRANCHES) if found else None

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether `other` has `one` in its history, as far as it is here."""
        return self.ask("merge-base", "--is-ancestor", one, other) is not None

    def entries(self, commit: str | None) -> Mapping[str, TreeEntry]:
        """The files of a commit's tree by path; none without a commit. A commit never changes, so each is read once."""
        return _entries(self, commit) if commit is not None else {}

    def contents(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Contents of blobs by their names."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        answer = self.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in wanted).encode())
        found = {}
        for name in wanted:
            head, _, answer = answer.partition(b"\n")
            said, kind, size = head.split(b" ") if head.count(b" ") == 2 else (head, b"missing", b"0")
            if kind != b"blob":
                raise GitError(f"object {said.decode()} is no file, or is not here")
            found[name], answer = answer[: int(size)], answer[int(size) + 1 :]
        return found

    # --- objects and branches

    def tree(self, commit: str | None, changes: Mapping[str, bytes | None], modes: Mapping[str, str]) -> str:
        """Write the tree of a commit with some files changed; nothing refers to it yet.

        Args:
            commit: whose tree it is, or None for an empty one.
            changes: new content by path; None removes.
            modes: of files that have another than the usual one.
        """
        with tempfile.TemporaryDirectory(prefix="k8s-airflow-") as folder:
            index = Path(folder, "index")
            self.run("read-tree", *([commit] if commit else ["--empty"]), index=index)
            kept = {path: content for path, content in changes.items() if content is not None}
            files = [Path(folder, str(number)) for number in range(len(kept))]
            for file, content in zip(files, kept.values(), strict=True):
                file.write_bytes(content)
            names = "".join(f"{file}\n" for file in files).encode()
            written = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).decode().split()
            ids = dict(zip(kept, written, strict=True))
            nothing = "0" * len(commit or "")
            lines = [
                f"{modes.get(path, FILE)} {ids[path]} 0\t{path}" if path in ids else f"0 {nothing} 0\t{path}"
                for path in changes
            ]
            told = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
            self.run("update-index", "-z", "--index-info", stdin=told, index=index)
            return self.run("write-tree", index=index).decode().strip()

    def write_commit(self, tree: str, parents: Sequence[str], message: str, where: str) -> str:
        """Write a commit; no branch has it yet. Signed where git is set to sign.

        Args:
            tree: its files.
            parents: of it.
            message: of it.
            where: the repository, for people.

        Raises:
            Refused: when nobody has told git who commits.
        """
        signed = ["-S"] if self.ask("config", "--type=bool", "commit.gpgSign") == "true" else []
        above = [word for parent in parents for word in ("-p", parent)]
        try:
            return (
                self.run(
                    *(
                        "-c",
                        "user.useConfigOnly=true",
                        "commit-tree",
                        *signed,
                        tree,
                        *above,
                        "-F",
                        "-",
                    ),
                    stdin=message.encode(),
                )
                .decode()
                .strip()
            )
        except GitError as failed:
            if not re.search(
                r"(?i)empty ident|ident name|tell me who you are|auto-detect|no (name|email) was given", str(failed)
            ):
                raise
            raise refuse(
                "publish-identity",
                where,
                "git does not know who commits.",
                "Set git config user.name and user.email, or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and "
                "GIT_COMMITTER_EMAIL.",
            ) from None

    def move(self, branch: str | None, new: str, old: str | None, message: str) -> None:
        """Let a branch, or a detached head, name another commit: at once, and only when it still names the old one.

        Raises:
            Failed: when it does not.
        """
        reference = "HEAD" if branch is None else f"{_BRANCHES}{branch}"
        self.run("update-ref", "-m", f"k8s-airflow publish: {message}", reference, new, old or "0" * len(new))

    # --- remotes

    def remote(self, branch: str | None) -> str | None:
        """The remote that a branch is pushed to: as configured, else the only one, or `origin`."""
        keys = [*([f"branch.{branch}.pushRemote"] if branch else []), "remote.pushDefault"]
        keys += [f"branch.{branch}.remote"] if branch else []
        for key in keys:
            name = self.ask("config", key)
            if name and name != ".":
                return name
        names = self.text("remote").split()
        return "origin" if "origin" in names else names[0] if len(names) == 1 else None

    def remote_branches(self, remote: str) -> tuple[str | None, dict[str, str]]:
        """The default branch of a remote, and the commits of all its branches."""
        default, found = None, {}
        for line in self.text("ls-remote", "--symref", remote, "HEAD", f"{_BRANCHES}*").splitlines():
            told, _, name = line.partition("\t")
            if told.startswith("ref: "):
                default = told.removeprefix(f"ref: {_BRANCHES}")
            elif name.startswith(_BRANCHES):
                found[name.removeprefix(_BRANCHES)] = told
        return default, found

    def fetch(self, remote: str, branches: Iterable[str], *, shallow: bool, dry: bool = False) -> None:
        """Bring commits of a remote's branches.

        Args:
            remote: its name, or an address.
            branches: of it.
            shallow: the last commit alone, not all before it.
            dry: bring objects and nothing else.
        """
        depth = ["--depth=1"] if shallow else []
        if not shallow and not dry and self.text("rev-parse", "--is-shallow-repository") == "true":
            depth = ["--unshallow"]
        depth += ["--no-write-fetch-head", "--refmap="] if dry else []
        names = [f"{_BRANCHES}{name}" for name in branches]
        self.run("fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", *depth, remote, *names)

    def push(self, remote: str, commit: str, branch: str, known: str | None) -> Literal["pushed", "moved"]:
        """Push a commit to a branch, as plain `git push` does.

        Args:
            remote: its name, or an address.
            commit: that is pushed.
            branch: of the remote.
            known: the commit that the branch named when it was asked last.

        Returns:
            `moved` when it names another by now.

        Raises:
            Failed: when it is refused for any other reason.
        """
        try:
            self.run("push", "--porcelain", "--no-recurse-submodules", remote, f"{commit}:{_BRANCHES}{branch}")
        except GitError:
            if self.remote_branches(remote)[1].get(branch) == known:
                raise
            return "moved"
        return "pushed"


@functools.lru_cache(maxsize=8)
def _entries(git: Git, commit: str) -> Mapping[str, TreeEntry]:
    found = {}
    for line in os.fsdecode(git.run("ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")[:-1]:
        told, _, path = line.partition("\t")
        mode, _, name = told.split(" ")
        found[path] = TreeEntry(mode, name)
    return found


def _environment() -> dict[str, str]:
    """The caller's, without another repository in it, and with git's messages in the language that is read here."""
    env = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    # For messages alone: what hooks read and write stays in the caller's encoding.
    all_pipelines = env.pop("LC_ALL", "")
    return {**env, **({"LC_CTYPE": all_pipelines} if all_pipelines else {}), "LC_MESSAGES": "C", "LANGUAGE": "C"}


def mask_credentials(text: str) -> str:
    """A text without what may be secret in the addresses in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def refuse_git(where: str, what: str, reason: GitError, help_text: str = "") -> Refused:
    """A refusal with git's own words."""
    lines = [line for line in str(reason).splitlines() if line.strip()]
    said = next((line for line in lines if re.match(r"(fatal|error): ", line)), lines[-1] if lines else "")
    said = re.sub(r"^(fatal|error): ", "", said).rstrip(".")
    return refuse("publish-git", where, f"{what}: {said}." if said else f"{what}.", help_text, str(reason))
