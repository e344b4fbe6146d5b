"""Holds a server that claims to be the Hugging Face Hub against the official client.

    HF_ENDPOINT=http://127.0.0.1:PORT HF_TOKEN=… python hub_round_trip.py READ_TOKEN

Uploads a folder, with a file that is large and one that comes in parts, downloads it again, and looks at each refusal.
"""

import hashlib
import os
import pathlib
import sys
import tempfile

os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from huggingface_hub import CommitOperationAdd, HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

api = HfApi()
scratch = pathlib.Path(tempfile.mkdtemp())


def refused(status, act):
    """The status that `act` is refused with."""
    try:
        act()
    except HfHubHTTPError as error:
        found = error.response.status_code
        assert found == status, f"{found} instead of {status}: {error}"
        return error
    raise AssertionError(f"not refused with {status}")


assert api.whoami()["name"] == "me"
api.create_repo("me/drug", private=True)
api.create_repo("me/drug", exist_ok=True)
refused(409, lambda: api.create_repo("me/drug"))

folder = scratch / "package"
(folder / "plots").mkdir(parents=True)
(folder / "manifest.json").write_text('{"name": "drug"}\n')
(folder / "README.md").write_text("---\nlicense: mit\n---\n# drug\n")
(folder / "empty.txt").write_text("")
(folder / "plots" / "one.bin").write_bytes(bytes(range(256)) * 40)
(folder / "model.onnx").write_bytes(hashlib.shake_256(b"weights").digest(3_000_000))
first = api.upload_folder(repo_id="me/drug", folder_path=folder, commit_message="v001")
again = api.upload_folder(repo_id="me/drug", folder_path=folder, commit_message="v001 again")
assert first.oid == again.oid, "nothing had changed"

(folder / "manifest.json").write_text('{"name": "drug", "second": true}\n')
second = api.upload_folder(repo_id="me/drug", folder_path=folder, commit_message="v002")
assert second.oid != first.oid
for revision, text in [(first.oid, '{"name": "drug"}\n'), ("main", '{"name": "drug", "second": true}\n')]:
    there = pathlib.Path(snapshot_download("me/drug", revision=revision, local_dir=scratch / revision))
    assert (there / "manifest.json").read_text() == text
    for name in ["model.onnx", "plots/one.bin", "README.md", "empty.txt"]:
        assert (there / name).read_bytes() == (folder / name).read_bytes(), name

operation = [CommitOperationAdd("late.txt", b"late")]
refused(412, lambda: api.create_commit("me/drug", operation, commit_message="late", parent_commit=first.oid))
api.create_tag("me/drug", tag="v001", revision=first.oid)
refused(409, lambda: api.create_tag("me/drug", tag="v001", revision=second.oid))
assert api.repo_info("me/drug", revision="v001").sha == first.oid
assert [tag.name for tag in api.list_repo_refs("me/drug").tags] == ["v001"]
assert "model.onnx" in api.list_repo_files("me/drug")
api.delete_file("empty.txt", repo_id="me/drug")
assert "empty.txt" not in api.list_repo_files("me/drug")

api.create_repo("me/app", repo_type="space", space_sdk="docker")
assert api.get_space_runtime("me/app").stage == "NO_APP_FILE"
api.upload_file(path_or_fileobj=b"FROM scratch\n", path_in_repo="Dockerfile", repo_id="me/app", repo_type="space")
variables = api.add_space_variable("me/app", key="MODELGATE_MODEL_REVISION", value=first.oid)
assert variables["MODELGATE_MODEL_REVISION"].value == first.oid
assert api.get_space_variables("me/app")["MODELGATE_MODEL_REVISION"].value == first.oid
api.add_space_secret("me/app", key="KEY", value="a secret")
assert api.pause_space("me/app").stage == "PAUSED"
assert api.restart_space("me/app").stage == "APP_STARTING"
assert api.space_info("me/app").runtime.stage == "RUNNING"

reader = HfApi(token=sys.argv[1])
assert reader.repo_info("me/drug").private
refused(403, lambda: reader.create_repo("me/other"))
refused(403, lambda: reader.create_commit("me/drug", operation, commit_message="late"))
refused(401, lambda: HfApi(token="hf_expired").whoami())
for act, kind in [
    (lambda: api.repo_info("me/nowhere"), RepositoryNotFoundError),
    (lambda: HfApi(token=False).repo_info("me/drug"), RepositoryNotFoundError),
    (lambda: api.repo_info("me/drug", revision="v009"), RevisionNotFoundError),
    (lambda: api.hf_hub_download("me/drug", "nothing.txt", cache_dir=scratch), EntryNotFoundError),
]:
    try:
        act()
    except kind:
        continue
    raise AssertionError(f"no {kind.__name__}")
print("the official client got what it expects")
