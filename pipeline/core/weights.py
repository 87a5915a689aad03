"""Files of weights, and the card beside each: what they are, of what, how good, their digest."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing, write_text

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    State = Mapping[str, Tensor]

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "weights"
"""Folder of the weights that come with the project."""


class WeightsCard(BaseModel):
    """What is known about a file of weights; each kind of network adds what it needs to be used.

    Attributes
    ----------
    network : str
        Name of the architecture.
    sha256 : str
        Digest of the file of weights, zeros where it is not written yet; another file does not load.
    data, licence, command : str
        What it was trained on, under which licence it may be used, and by which command.
    steps : int
        Updates of the weights.
    recipe : str
        Digest of the hyperparameters and pictures of the training.
    scores : dict
        Name of a measurement to its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    sha256: str = Field(default="0" * 64, pattern="^[0-9a-f]{64}$")
    data: str
    licence: str
    command: str
    steps: int
    recipe: str = ""
    scores: dict[str, float] = {}


Card = TypeVar("Card", bound=BaseModel)


def card_path(file: Path) -> Path:
    """Return where the card of a file of weights, or of a table made by a network, lies."""
    return file.with_suffix(".json")


def write_card(file: Path, card: BaseModel) -> None:
    """Write the card of a file."""
    write_text(card_path(file), card.model_dump_json(indent=1) + "\n")


def read_card(file: Path, kind: type[Card]) -> Card | None:
    """Read the card of a file; None where there is none.

    Raises
    ------
    PipelineError
        If it is damaged, or of another kind.
    """
    path = card_path(file)
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: damaged card; restore it, or make {file.name} again") from error


def check_digest(path: Path, expected: str, digest: Callable[[Path], str] = file_digest) -> str:
    """Return the sha256 of a file of weights, or what `digest` makes of it.

    Raises
    ------
    PipelineError
        If the file is missing, or is another one than its card says.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: missing weights; restore the file from where it came")
    found = digest(path)
    if found != expected:
        raise PipelineError(
            f"{path}: sha256 {found[:12]}… is not the card's {expected[:12]}…: damaged or changed; "
            "restore the file from where it came"
        )
    return found


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read named weights from safetensors, or from a file of torch without running code from it.

    Raises
    ------
    PipelineError
        If the file is unreadable or holds anything but tensors.
    """
    import torch

    content = read_tensors(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PipelineError(f"{path}: holds no named weights; give a file with a state_dict of tensors")
    return state


def read_tensors(path: Path, device: str = "cpu") -> Any:
    """Read a file that holds nothing but tensors, and in one of torch, numbers, text and containers of them.

    Raises
    ------
    PipelineError
        If it is unreadable, or would run code.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path, device)
        return torch.load(path, map_location=device, weights_only=True)
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PipelineError(
            f"{path}: not a readable file of weights ({reason}); restore or remove it"
        ) from error


def save_state(path: Path, state: "State", *, half: bool = False) -> str:
    """Write weights as safetensors, if asked with 16 bits a number; return the file's sha256.

    Raises
    ------
    ValueError
        Where a weight is not finite in half precision.
    """
    import torch
    from safetensors.torch import save_file

    kept = {}
    for name, value in sorted(state.items()):
        stored = value.detach().cpu()
        if half and stored.is_floating_point():
            stored = stored.half()
            if not torch.isfinite(stored).all():
                raise ValueError(f"{name} is not finite in half precision")
        kept[name] = stored.contiguous().clone()
    with replacing(path) as temporary:
        save_file(kept, temporary)
    return file_digest(path)


def load_state(
    network: "Module", name: str, state: "State", optional: tuple[str, ...] = (), part: str = ""
) -> None:
    """Fill a network, or a part of it, with weights; none may be left over or missing.

    Parameters
    ----------
    name : str
        What its architecture is called.
    optional : tuple of str
        Endings of names that may be missing, and then stay as they are.
    part : str
        Beginning of the names that are expected.

    Raises
    ------
    ValueError
        If names or shapes are not those of the network, naming the first that differ.
    """
    own = network.state_dict()
    expected = {key: value for key, value in own.items() if key.startswith(part)}
    missing = [key for key in expected if key not in state and not key.endswith(optional)]
    unknown = [key for key in state if key not in expected]
    if missing or unknown:
        first = f"'{missing[0]}' is missing" if missing else f"'{unknown[0]}' is not part of it"
        raise ValueError(
            f"not a checkpoint of {name}: {len(missing)} weights missing, {len(unknown)} unknown; {first}"
        )
    for key, value in state.items():
        if value.shape != expected[key].shape:
            shapes = f"shape {tuple(value.shape)} instead of {tuple(expected[key].shape)}"
            raise ValueError(f"not a checkpoint of {name}: {key} has {shapes}")
    network.load_state_dict({**own, **state})
