import subprocess
import sys

import chatwright.engine


def test_every_public_name_is_there() -> None:
    assert all(
        getattr(chatwright.engine, name).__module__.startswith("chatwright.engine.")
        for name in chatwright.engine.__all__
    )


def test_parameters_load_no_models_libraries() -> None:
    """Help texts and argument checks use the parameters; they must not wait for what runs models."""
    script = (
        "import sys; import chatwright.engine.params, chatwright.engine.generation; "
        "sys.exit(' '.join({'torch', 'numba', 'numpy', 'llguidance', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
