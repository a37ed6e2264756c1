"""Run by `smoke` in a process of its own: fetch a version from the registry, load it as MLflow does, track one clip.

    python -P loaded_back.py STORE MODEL FOLDER SOURCE BOX       prints one JSON object on its last line

Nothing of ours is imported here, so that what runs is the code in the package.
"""

import json
import sys
import time
from pathlib import Path


def main(store: str, model: str, folder: str, source: str, box: str) -> None:
    import mlflow
    from mlflow.artifacts import download_artifacts

    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    here = Path(download_artifacts(artifact_uri=model, dst_path=folder, tracking_uri=store)).resolve()
    served = mlflow.pyfunc.load_model(str(here))
    begun = time.perf_counter()
    answer = served.predict([{"source": source, "box": json.loads(box)}])[0]
    seconds = time.perf_counter() - begun
    code = Path(sys.modules["sstrack"].__path__[0]).resolve()
    if here not in code.parents:
        raise SystemExit(f"the code that ran is {code} and not the package's")
    print(json.dumps({"boxes": answer.boxes, "scores": answer.scores, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
