"""A work folder with a blank and an umlaut in its name: the store lies in it, and what is logged there is found."""

from pathlib import Path

import mlflow.artifacts

from pipelines.registry.runs import TrainingRun, experiment_id, registry_client


def test_what_is_registered_in_a_folder_with_blanks_and_umlauts_is_found_again(tmp_path: Path) -> None:
    work = tmp_path / "Übung 1"
    work.mkdir()
    uri = f"sqlite:///{work / 'mlflow.db'}"
    client = registry_client(uri)
    run = TrainingRun.find_or_create(client, uri, "key-1")
    package = work / "package"
    package.mkdir()
    (package / "weights.bin").write_bytes(b"weights")
    client.log_artifact(run.run_id, str(package / "weights.bin"))
    model = client.create_logged_model(experiment_id(client, uri), name="tracker", source_run_id=run.run_id)
    client.log_model_artifacts(model.model_id, str(package))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("sstrack")
    place = client.get_logged_model(model.model_id).artifact_location
    version = client.create_model_version("sstrack", place, run_id=run.run_id, model_id=model.model_id)
    kept = client.get_model_version_download_uri("sstrack", version.version)
    copy = mlflow.artifacts.download_artifacts(kept, dst_path=str(tmp_path / "copy"), tracking_uri=uri)
    assert (Path(copy) / "weights.bin").read_bytes() == b"weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "Übung 1"]
