"""Run git, and read and write a repository's objects, branches and remotes.

Only git's own commands are used, so configuration, credentials and hooks work as in a shell. Git's output is shown unchanged except for
credentials in addresses. Work trees are written in `worktree.py`.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kedro_k8s_airflow.findings import Refused, refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Set by git for its hooks; they would point at the project's repository.
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
# For output that can be parsed, for leaving submodules alone, and for commit messages in UTF-8.
_CONFIGURATION = (
    "core.quotePath=false",
    "gc.auto=0",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
)
_WORD = re.compile(r"[^\s'\"]+")
_HTTP_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_USER_WITH_PASSWORD = re.compile(r"[A-Za-z0-9+.-]://[^/:@]*:")
FILE_MODE, EXECUTABLE_MODE, LINK_MODE, SUBMODULE_MODE = "100644", "100755", "120000", "160000"
_BRANCH_PREFIX = "refs/heads/"
# Seconds between attempts to push to a branch that another process has locked.
LOCK_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6)
_LOCKED_BRANCH = re.compile(r"cannot lock ref|failed to (update|lock) ref|\.lock': File exists")


class GitError(Exception):
    """A git command has failed; the message is git's."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file in a tree: its mode in git's notation, and the id of its object."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Git:
    """A repository on this machine.

    Attributes:
        folder: where git runs: the top of a work tree, or a bare repository.
        bare: whether the folder is known to be a bare repository.
    """

    folder: Path
    bare: bool = False

    def run(self, *arguments: str, stdin: bytes = b"", index: Path | None = None) -> bytes:
        """Run a git command and return its stdout.

        Args:
            arguments: arguments of git.
            stdin: input of the command.
            index: index file to use instead of the repository's own.

        Raises:
            GitError: the command fails.
            Refused: git is not installed.
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
            raise refuse("publish-git", Location(subject="git"), "is not on PATH.", "Install git.") from None
        if completed.returncode:
            output = b"\n".join(text.strip() for text in (completed.stderr, completed.stdout) if text.strip())
            raise GitError(mask_credentials(output.decode("utf-8", "replace")))
        return completed.stdout

    def run_text(self, *arguments: str) -> str:
        """Run a git command and return its stdout without the last newline."""
        return os.fsdecode(self.run(*arguments)).rstrip("\n")

    def query_text(self, *arguments: str) -> str | None:
        """Run a git command and return its stdout, or None when it fails."""
        try:
            return self.run_text(*arguments)
        except GitError:
            return None

    # --- reading

    def resolve_commit(self, name: str) -> str | None:
        """Return the commit that a name refers to."""
        return self.query_text("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def git_path(self, name: str) -> Path:
        """Return the path of a file in git's own folder, such as `index`; work trees may have their own."""
        return self.folder / self.run_text("rev-parse", "--git-path", name)

    def find_branch_commit(self, name: str) -> str | None:
        """Return the commit of a branch in this repository, else that of the remote-tracking branch."""
        remote = self.find_push_remote(name)
        names = (f"{_BRANCH_PREFIX}{name}", f"refs/remotes/{remote}/{name}")
        return next(filter(None, map(self.resolve_commit, names)), None)

    def list_branches(self) -> set[str]:
        """Return the names of all local and remote-tracking branches."""
        names = self.run_text("for-each-ref", "--format=%(refname:lstrip=2)", _BRANCH_PREFIX).splitlines()
        for line in self.run_text("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/").splitlines():
            names += [line] if line != "HEAD" else []
        return set(names)

    def current_branch(self) -> str | None:
        """Return the branch that is checked out, with or without commits; None for a detached HEAD."""
        reference = self.query_text("symbolic-ref", "--quiet", "HEAD")
        return reference.removeprefix(_BRANCH_PREFIX) if reference else None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Check whether a commit is in the local history of another."""
        return self.query_text("merge-base", "--is-ancestor", ancestor, descendant) is not None

    def read_entries(self, commit: str | None) -> Mapping[str, TreeEntry]:
        """Return the files of a commit by path; None has no files. Results are cached."""
        return _read_entries(self, commit) if commit is not None else {}

    def read_contents(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of blobs by id."""
        object_ids = list(dict.fromkeys(ids))
        if not object_ids:
            return {}
        answer = self.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in object_ids).encode())
        contents = {}
        for name in object_ids:
            head, _, answer = answer.partition(b"\n")
            object_id, kind, size = head.split(b" ") if head.count(b" ") == 2 else (head, b"missing", b"0")
            if kind != b"blob":
                raise GitError(f"object {object_id.decode()} is missing or is not a file")
            contents[name], answer = answer[: int(size)], answer[int(size) + 1 :]
        return contents

    # --- objects and branches

    def write_tree(self, commit: str | None, changes: Mapping[str, bytes | None], modes: Mapping[str, str]) -> str:
        """Write a commit's tree with some files changed, and return its id.

        Args:
            commit: the commit to start from; None for an empty tree.
            changes: new content by path; None removes the file.
            modes: modes by path, where they differ from the default.

        Raises:
            GitError: git fails.
            Refused: git has left a file out, as it does without an error for a name that is unsafe on some system.
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
            tree = self.run("write-tree", index=index).decode().strip()
        written = self.read_entries(tree)
        for path in changes:
            entry = written.get(path)
            if (entry.id if entry is not None else None) != ids.get(path):
                raise refuse(
                    "publish-folder",
                    Location(file=path),
                    "is a name that git leaves out of a commit.",
                    "Choose another --subfolder. Nothing has changed.",
                )
        return tree

    def write_commit(self, tree: str, parents: Sequence[str], message: str, display_name: str) -> str:
        """Write a commit, signed if git is configured to sign, and return its id. No branch is moved.

        Args:
            tree: id of its tree.
            parents: its parent commits.
            message: its message.
            display_name: the repository, for messages.

        Raises:
            Refused: git has no identity for the commit.
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
                "git has no identity for the commit.",
                "Set git config user.name and user.email, or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and "
                "GIT_COMMITTER_EMAIL.",
            ) from None

    def move_branch(self, branch: str | None, new: str, old: str | None, reason: str) -> None:
        """Move a branch, or a detached HEAD, to another commit in one step.

        Raises:
            GitError: it no longer points to the old commit.
        """
        reference = "HEAD" if branch is None else f"{_BRANCH_PREFIX}{branch}"
        self.run("update-ref", "-m", f"k8s-airflow publish: {reason}", reference, new, old or "0" * len(new))

    # --- remotes

    def find_push_remote(self, branch: str | None) -> str | None:
        """Return the remote that a branch is pushed to: as configured, else `origin`, else the only one."""
        keys = [*([f"branch.{branch}.pushRemote"] if branch else []), "remote.pushDefault"]
        keys += [f"branch.{branch}.remote"] if branch else []
        for key in keys:
            name = self.query_text("config", key)
            if name and name != ".":
                return name
        names = self.run_text("remote").split()
        return "origin" if "origin" in names else names[0] if len(names) == 1 else None

    def list_remote_branches(self, remote: str) -> tuple[str | None, dict[str, str]]:
        """Return the default branch of a remote, and the commits of all its branches."""
        default, branches = None, {}
        for line in self.run_text("ls-remote", "--symref", remote, "HEAD", f"{_BRANCH_PREFIX}*").splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: "):
                default = value.removeprefix(f"ref: {_BRANCH_PREFIX}")
            elif name.startswith(_BRANCH_PREFIX):
                branches[name.removeprefix(_BRANCH_PREFIX)] = value
        return default, branches

    def fetch(self, remote: str, branches: Iterable[str], *, shallow: bool, objects_only: bool = False) -> None:
        """Fetch branches of a remote.

        Args:
            remote: name or address.
            branches: names of its branches.
            shallow: fetch only the last commit of each.
            objects_only: write no FETCH_HEAD and no remote-tracking branches.
        """
        depth = ["--depth=1"] if shallow else []
        if not shallow and not objects_only and self.run_text("rev-parse", "--is-shallow-repository") == "true":
            depth = ["--unshallow"]
        depth += ["--no-write-fetch-head", "--refmap="] if objects_only else []
        names = [f"{_BRANCH_PREFIX}{name}" for name in branches]
        self.run("fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", *depth, remote, *names)

    def push(self, remote: str, commit: str, branch: str, known: str | None) -> Literal["pushed", "moved"]:
        """Push a commit to a branch, as plain `git push` does; wait a while for another process that updates the branch.

        Args:
            remote: name or address.
            commit: the commit to push.
            branch: branch of the remote.
            known: the commit that the remote branch pointed to when it was last read.

        Returns:
            `moved` if the remote branch points to another commit now.

        Raises:
            GitError: the push fails for any other reason.
        """
        for delay in (*LOCK_DELAYS, None):
            try:
                self.run("push", "--porcelain", "--no-recurse-submodules", remote, f"{commit}:{_BRANCH_PREFIX}{branch}")
            except GitError as reason:
                if self.list_remote_branches(remote)[1].get(branch) != known:
                    return "moved"
                # While another process holds the branch's lock, the remote still shows the old commit.
                if delay is None or not _LOCKED_BRANCH.search(str(reason)):
                    raise
                time.sleep(delay)
            else:
                break
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
    """Return the caller's environment without another repository, and with git's messages in English."""
    env = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    # Only messages: hooks keep the caller's encoding.
    locale_all = env.pop("LC_ALL", "")
    return {**env, **({"LC_CTYPE": locale_all} if locale_all else {}), "LC_MESSAGES": "C", "LANGUAGE": "C"}


def mask_credentials(text: str) -> str:
    """Return a text with possible secrets in its addresses masked.

    These are everything before an HTTP host, since a user name can be a token; other passwords; and queries.
    """
    return _WORD.sub(lambda word: _mask_address(word[0]), text) if "://" in text else text


def _mask_address(word: str) -> str:
    """Return a word with possible secrets masked. It is searched from both ends, since a pattern would take quadratic time."""
    for pattern in (_HTTP_SCHEME, _USER_WITH_PASSWORD):
        match = pattern.search(word)
        end = word.rfind("@")
        if match and end >= match.end():
            word = f"{word[: match.end()]}***{word[end:]}"
    scheme = word.find("://")
    query = word.find("?", scheme + 3) if scheme >= 0 else -1
    return f"{word[: query + 1]}***" if 0 <= query < len(word) - 1 else word


def refuse_git(display_name: str, message: str, reason: GitError, help_text: str = "") -> Refused:
    """Return a refusal that shows git's own output."""
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
