"""Git, as far as publishing needs it: one function that runs it, and a repository's objects, branches and remotes.

Only git's own commands are used, so configuration, credentials and hooks of a push work as in a shell. What git says is shown as it is,
but for passwords in addresses. Nothing here writes into a work tree; that is `worktree.py`.
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
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Of a repository that git was called from, such as the project's when this runs in one of its hooks.
_REPOSITORY_VARIABLES = (
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
_CONFIGURATION = (
    "core.quotePath=false",
    "gc.auto=0",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
)
# What may be a secret in an address: all before the host, where a token can be the user; elsewhere a password; and a query.
_CREDENTIAL_PATTERNS = (
    (re.compile(r"(https?://)[^\s'\"]*@", re.IGNORECASE), r"\1***@"),
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"]*):[^\s'\"]*@"), r"\1:***@"),
    (re.compile(r"(://[^\s'\"?]*\?)[^\s'\"]+"), r"\1***"),
)
FILE_MODE, EXECUTABLE_MODE, LINK_MODE, SUBMODULE_MODE = "100644", "100755", "120000", "160000"
_BRANCH_PREFIX = "refs/heads/"


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
            GitError: when it does.
            Refused: when there is no git.
        """
        env = _build_environment()
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        repository_option = [f"--git-dir={self.folder}"] if self.bare else []
        command = [
            "git",
            *repository_option,
            *(word for setting in _CONFIGURATION for word in ("-c", setting)),
            *arguments,
        ]
        try:
            completed = subprocess.run(command, cwd=self.folder, env=env, input=stdin, capture_output=True, check=False)
        except FileNotFoundError:
            raise refuse("publish-git", Location(subject="git"), "is not on PATH.", "Install it.") from None
        if completed.returncode:
            output = b"\n".join(text.strip() for text in (completed.stderr, completed.stdout) if text.strip())
            raise GitError(mask_credentials(output.decode("utf-8", "replace")))
        return completed.stdout

    def run_text(self, *arguments: str) -> str:
        """The stdout of a git command, without the last newline."""
        return os.fsdecode(self.run(*arguments)).rstrip("\n")

    def query_text(self, *arguments: str) -> str | None:
        """The same, or None when the command fails: for questions."""
        try:
            return self.run_text(*arguments)
        except GitError:
            return None

    # --- what is there

    def resolve_commit(self, name: str) -> str | None:
        """The commit that a name means."""
        return self.query_text("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def git_path(self, name: str) -> Path:
        """A file of the repository's own, such as `index`; each work tree may have another."""
        return self.folder / self.run_text("rev-parse", "--git-path", name)

    def find_branch_commit(self, name: str) -> str | None:
        """The commit of a branch: of this repository, else of the remote as it was seen last."""
        remote = self.find_push_remote(name)
        names = (f"{_BRANCH_PREFIX}{name}", f"refs/remotes/{remote}/{name}")
        return next(filter(None, map(self.resolve_commit, names)), None)

    def list_branches(self) -> set[str]:
        """The names of all branches, of this repository and of its remotes."""
        names = self.run_text("for-each-ref", "--format=%(refname:lstrip=2)", _BRANCH_PREFIX).splitlines()
        for line in self.run_text("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/").splitlines():
            names += [line] if line != "HEAD" else []
        return set(names)

    def current_branch(self) -> str | None:
        """The branch that is checked out, born or not; None when the head is detached."""
        reference = self.query_text("symbolic-ref", "--quiet", "HEAD")
        return reference.removeprefix(_BRANCH_PREFIX) if reference else None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether `other` has `one` in its history, as far as it is here."""
        return self.query_text("merge-base", "--is-ancestor", ancestor, descendant) is not None

    def read_entries(self, commit: str | None) -> Mapping[str, TreeEntry]:
        """The files of a commit's tree by path; none without a commit. A commit never changes, so each is read once."""
        return _read_entries(self, commit) if commit is not None else {}

    def read_contents(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Contents of blobs by their names."""
        object_ids = list(dict.fromkeys(ids))
        if not object_ids:
            return {}
        answer = self.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in object_ids).encode())
        contents = {}
        for name in object_ids:
            head, _, answer = answer.partition(b"\n")
            object_id, kind, size = head.split(b" ") if head.count(b" ") == 2 else (head, b"missing", b"0")
            if kind != b"blob":
                raise GitError(f"object {object_id.decode()} is no file, or is not here")
            contents[name], answer = answer[: int(size)], answer[int(size) + 1 :]
        return contents

    # --- objects and branches

    def write_tree(self, commit: str | None, changes: Mapping[str, bytes | None], modes: Mapping[str, str]) -> str:
        """Write the tree of a commit with some files changed; nothing refers to it yet.

        Args:
            commit: whose tree it is, or None for an empty one.
            changes: new content by path; None removes.
            modes: of files that have another than the usual one.
        """
        with tempfile.TemporaryDirectory(prefix="k8s-airflow-") as folder:
            index = Path(folder, "index")
            self.run("read-tree", *([commit] if commit else ["--empty"]), index=index)
            new_contents = {path: content for path, content in changes.items() if content is not None}
            files = [Path(folder, str(number)) for number in range(len(new_contents))]
            for file, content in zip(files, new_contents.values(), strict=True):
                file.write_bytes(content)
            names = "".join(f"{file}\n" for file in files).encode()
            blob_ids = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).decode().split()
            ids = dict(zip(new_contents, blob_ids, strict=True))
            null_id = "0" * len(commit or "")
            lines = [
                f"{modes.get(path, FILE_MODE)} {ids[path]} 0\t{path}" if path in ids else f"0 {null_id} 0\t{path}"
                for path in changes
            ]
            index_info = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
            self.run("update-index", "-z", "--index-info", stdin=index_info, index=index)
            return self.run("write-tree", index=index).decode().strip()

    def write_commit(self, tree: str, parents: Sequence[str], message: str, display_name: str) -> str:
        """Write a commit; no branch has it yet. Signed where git is set to sign.

        Args:
            tree: its files.
            parents: of it.
            message: of it.
            display_name: the repository, for people.

        Raises:
            Refused: when nobody has told git who commits.
        """
        sign_option = ["-S"] if self.query_text("config", "--type=bool", "commit.gpgSign") == "true" else []
        parent_options = [word for parent in parents for word in ("-p", parent)]
        try:
            return (
                self.run(
                    *(
                        "-c",
                        "user.useConfigOnly=true",
                        "commit-tree",
                        *sign_option,
                        tree,
                        *parent_options,
                        "-F",
                        "-",
                    ),
                    stdin=message.encode(),
                )
                .decode()
                .strip()
            )
        except GitError as error:
            if not re.search(
                r"(?i)empty ident|ident name|tell me who you are|auto-detect|no (name|email) was given", str(error)
            ):
                raise
            raise refuse(
                "publish-identity",
                Location(subject=display_name),
                "git does not know who commits.",
                "Set git config user.name and user.email, or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and "
                "GIT_COMMITTER_EMAIL.",
            ) from None

    def move_branch(self, branch: str | None, new: str, old: str | None, reason: str) -> None:
        """Let a branch, or a detached head, name another commit: at once, and only when it still names the old one.

        Raises:
            GitError: when it does not.
        """
        reference = "HEAD" if branch is None else f"{_BRANCH_PREFIX}{branch}"
        self.run("update-ref", "-m", f"k8s-airflow publish: {reason}", reference, new, old or "0" * len(new))

    # --- remotes

    def find_push_remote(self, branch: str | None) -> str | None:
        """The remote that a branch is pushed to: as configured, else the only one, or `origin`."""
        keys = [*([f"branch.{branch}.pushRemote"] if branch else []), "remote.pushDefault"]
        keys += [f"branch.{branch}.remote"] if branch else []
        for key in keys:
            name = self.query_text("config", key)
            if name and name != ".":
                return name
        names = self.run_text("remote").split()
        return "origin" if "origin" in names else names[0] if len(names) == 1 else None

    def list_remote_branches(self, remote: str) -> tuple[str | None, dict[str, str]]:
        """The default branch of a remote, and the commits of all its branches."""
        default, branches = None, {}
        for line in self.run_text("ls-remote", "--symref", remote, "HEAD", f"{_BRANCH_PREFIX}*").splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: "):
                default = value.removeprefix(f"ref: {_BRANCH_PREFIX}")
            elif name.startswith(_BRANCH_PREFIX):
                branches[name.removeprefix(_BRANCH_PREFIX)] = value
        return default, branches

    def fetch(self, remote: str, branches: Iterable[str], *, shallow: bool, objects_only: bool = False) -> None:
        """Bring commits of a remote's branches.

        Args:
            remote: its name, or an address.
            branches: of it.
            shallow: the last commit alone, not all before it.
            objects_only: bring objects and nothing else.
        """
        depth = ["--depth=1"] if shallow else []
        if not shallow and not objects_only and self.run_text("rev-parse", "--is-shallow-repository") == "true":
            depth = ["--unshallow"]
        depth += ["--no-write-fetch-head", "--refmap="] if objects_only else []
        names = [f"{_BRANCH_PREFIX}{name}" for name in branches]
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
            GitError: when it is refused for any other reason.
        """
        try:
            self.run("push", "--porcelain", "--no-recurse-submodules", remote, f"{commit}:{_BRANCH_PREFIX}{branch}")
        except GitError:
            if self.list_remote_branches(remote)[1].get(branch) == known:
                raise
            return "moved"
        return "pushed"


@functools.lru_cache(maxsize=8)
def _read_entries(git: Git, commit: str) -> Mapping[str, TreeEntry]:
    entries = {}
    for line in os.fsdecode(git.run("ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")[:-1]:
        attributes, _, path = line.partition("\t")
        mode, _, name = attributes.split(" ")
        entries[path] = TreeEntry(mode, name)
    return entries


def _build_environment() -> dict[str, str]:
    """The caller's, without another repository in it, and with git's messages in the language that is read here."""
    env = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    # For messages alone: what hooks read and write stays in the caller's encoding.
    locale_all = env.pop("LC_ALL", "")
    return {**env, **({"LC_CTYPE": locale_all} if locale_all else {}), "LC_MESSAGES": "C", "LANGUAGE": "C"}


def mask_credentials(text: str) -> str:
    """A text without what may be secret in the addresses in it."""
    for pattern, replacement in _CREDENTIAL_PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def refuse_git(display_name: str, message: str, reason: GitError, help_text: str = "") -> Refused:
    """A refusal with git's own words."""
    lines = [line for line in str(reason).splitlines() if line.strip()]
    summary = next((line for line in lines if re.match(r"(fatal|error): ", line)), lines[-1] if lines else "")
    summary = re.sub(r"^(fatal|error): ", "", summary).rstrip(".")
    return refuse(
        "publish-git",
        Location(subject=display_name),
        f"{message}: {summary}." if summary else f"{message}.",
        help_text,
        str(reason),
    )
