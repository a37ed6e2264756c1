"""Links to MLflow's pages: right where a server has a path, silent about logins, none for a file."""

from pipelines.registry.addresses import run_page, version_page


def test_pages_of_a_server_under_a_path_without_its_login() -> None:
    uri = "https://ann:secret@models.example:8443/mlflow/"
    assert run_page(uri, "7", "abc") == "https://models.example:8443/mlflow/#/experiments/7/runs/abc"
    assert (
        version_page(uri, "our tracker", "3") == "https://models.example:8443/mlflow/#/models/our%20tracker/versions/3"
    )


def test_an_address_of_six_parts_keeps_its_brackets() -> None:
    assert run_page("http://ann:secret@[::1]:5000", "7", "abc") == "http://[::1]:5000/#/experiments/7/runs/abc"


def test_a_file_has_no_pages() -> None:
    assert run_page("sqlite:////data/mlflow.db", "7", "abc") is None
    assert version_page("sqlite:////data/mlflow.db", "tracker", "3") is None
