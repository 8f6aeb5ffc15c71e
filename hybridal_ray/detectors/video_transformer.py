"""Video transformers of the `transformers` library as encoders: VideoMAE and V-JEPA 2, of any size.

Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training",
NeurIPS 2022; Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and Planning",
2025. The library is imported when an encoder is built, not before.
"""

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.registry import nearest

STRIDE = 16  # pixels to a side of a patch: the head needs a map at 1/16
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # both families were trained with them

# The fields of a config.json that decide what the encoder is; the rest belongs to pretraining heads and to training.
_COMMON = ("patch_size", "tubelet_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act")
FIELDS: dict[str, tuple[str, ...]] = {
    "videomae": (
        *_COMMON,
        *("image_size", "num_frames", "num_channels", "intermediate_size", "layer_norm_eps", "qv_bias", "qkv_bias"),
        "use_mean_pooling",
    ),
    "vjepa2": (*_COMMON, "crop_size", "frames_per_clip", "in_chans", "mlp_ratio", "layer_norm_eps", "qkv_bias"),
}


def settled_config(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """The architecture in a few plain values, from which it can be built anywhere.

    Args:
        config: ``model_type`` (``videomae`` or ``vjepa2``) with fields of the library's configuration, those left
            out having its defaults; or a directory (path or URI) with a ``config.json`` of such a model.

    Returns:
        ``model_type`` and those of `FIELDS` that are given.

    Raises:
        ValueError: The model type is another, or a field is unknown (in a directory, unknown ones are left out).
        UserError: The directory holds no readable ``config.json``.
    """
    found = dict(storage.read_json(storage.join(config, "config.json")) if isinstance(config, str) else config)
    model_type = found.pop("model_type", None)
    if model_type not in FIELDS:
        raise ValueError(f"config.model_type is {model_type!r}, expected one of {', '.join(FIELDS)}")
    known = FIELDS[model_type]
    for field in found:
        if field not in known and not isinstance(config, str):
            raise ValueError(f"config.{field}: {model_type} has no such field" + nearest(field, known))
    return {"model_type": model_type, **{field: found[field] for field in known if field in found}}


class VideoTransformer(nn.Module):
    """A video transformer without dropout, from clips in [-1, 1] to one map at 1/16 for every tubelet of frames.

    Positions are those of the clip's own grid, whatever size and length the weights were pretrained with: VideoMAE's
    table is interpolated, V-JEPA 2 rotates by place and needs no table.

    Args:
        config: See `settled_config`. Weights are fresh, from torch's generator; `load_pretrained` reads others.

    Attributes:
        channels: D.
        tubelet_frames: Frames to a tubelet.

    Raises:
        ValueError: The library is not installed, or it refuses the configuration.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(self, config: Mapping[str, Any] | str) -> None:
        super().__init__()
        self._settled = settled_config(config)
        self.body: _VideoMAE | _VJEPA2 = _build_body(self._settled)
        self.channels: int = self.body.config.hidden_size
        self.tubelet_frames: int = self.body.config.tubelet_size
        if self.body.config.patch_size not in (STRIDE, [STRIDE] * 2, (STRIDE,) * 2):
            raise ValueError(f"config.patch_size is {self.body.config.patch_size}, expected {STRIDE}")
        self.register_buffer("_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1, 1), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Encodes clips.

        Args:
            clips: (N, 3, T, H, W) in [-1, 1]; T a multiple of `tubelet_frames`, H = W a multiple of 16.

        Returns:
            (N, T / tubelet_frames, D, H/16, W/16), normalised over D.
        """
        _, _, frames, height, width = clips.shape
        grid = (frames // self.tubelet_frames, height // STRIDE, width // STRIDE)
        tokens = self.body(((clips + 1.0) / 2.0 - self._mean) / self._std)
        return tokens.unflatten(1, grid).permute(0, 1, 4, 2, 3)

    def load_pretrained(self, location: str) -> None:
        """Reads the weights of a model of the same architecture, its pretraining or classification head left out.

        Args:
            location: Local directory with ``config.json`` and weights as safetensors, as `save_pretrained` of the
                library leaves it.

        Raises:
            UserError: There is no such directory, it cannot be read, it is another architecture, or weights are
                missing in it.
        """
        if not os.path.isdir(location):
            raise UserError(f"{location}: no such directory; expected one with config.json and model.safetensors")
        library = _library()
        try:
            theirs = settled_config(location)
            with torch.random.fork_rng(devices=[]):  # weights that the files lack are drawn
                loaded, report = library.AutoModel.from_pretrained(
                    location,
                    local_files_only=True,
                    use_safetensors=True,
                    output_loading_info=True,
                    dtype=torch.float32,
                )
        except Exception as error:  # the library and its readers raise errors of a dozen kinds
            raise UserError(f"{location}: not a readable video transformer: {error}") from error
        self._refuse_other_architecture(location, theirs)
        prefix = self.body.PREFIX
        if missing := sorted(name for name in report["missing_keys"] if name.startswith(prefix)):
            raise UserError(f"{location}: {len(missing)} weights of the encoder are missing, the first {missing[0]!r}")
        weights = loaded.state_dict()
        self.body.model.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        )

    def _refuse_other_architecture(self, location: str, theirs: Mapping[str, Any]) -> None:
        mine = _library_config(self._settled)
        other = _library_config(theirs)
        for field in ("model_type", *FIELDS[self._settled["model_type"]]):
            here, there = getattr(mine, field, None), getattr(other, field, None)
            if here != there:
                raise UserError(
                    f"{location}: {field} of the weights is {there!r}, expected {here!r} as in detector.options.config"
                )


class _VideoMAE(nn.Module):
    """VideoMAE with its position table interpolated to the grid of the clip."""

    PREFIX = ""  # of the names of `model` in the library's model
    _positions: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.model: Any = _without_dropout(_fresh_model(config))
        side = self.model.embeddings.patch_embeddings
        grid = (
            config.num_frames // config.tubelet_size,
            side.image_size[0] // side.patch_size[0],
            side.image_size[1] // side.patch_size[1],
        )
        table = self.model.embeddings.position_embeddings.transpose(1, 2).unflatten(2, grid)  # (1, D, t, h, w)
        self.register_buffer("_positions", table.clone(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, T, H, W) to (N, t·h·w, D)."""
        patches = self.model.embeddings.patch_embeddings.projection(pixels)  # (N, D, t, h, w)
        positions = self._positions
        if patches.shape[2:] != positions.shape[2:]:
            size = list(patches.shape[2:])
            positions = F.interpolate(positions, size=size, mode="trilinear", align_corners=False)
        tokens = (patches + positions.to(patches.dtype)).flatten(2).transpose(1, 2)
        tokens = self.model.encoder(tokens).last_hidden_state
        if self.model.layernorm is None:  # models whose classifier normalises the mean of the tokens
            return F.layer_norm(tokens, tokens.shape[-1:])
        return self.model.layernorm(tokens)


class _VJEPA2(nn.Module):
    """The encoder of V-JEPA 2, without the predictor."""

    PREFIX = "encoder."  # of the names of `model` in the library's model

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.model: Any = _without_dropout(_fresh_model(config)).encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, T, H, W), H = W, to (N, t·h·w, D)."""
        for layer in self.model.layer:
            layer.attention.grid_size = pixels.shape[-1] // STRIDE  # or tokens are placed on the pretraining grid
        return self.model(pixels.transpose(1, 2)).last_hidden_state


def _build_body(settled: Mapping[str, Any]) -> _VideoMAE | _VJEPA2:
    config = _library_config(settled)
    return _VideoMAE(config) if settled["model_type"] == "videomae" else _VJEPA2(config)


def _library() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"{error}; install it with: pip install -c constraints.txt '.[transformers]'") from error
    return transformers


def _library_config(settled: Mapping[str, Any]) -> Any:
    """The library's configuration, with nothing random in the encoder and no more of a predictor than must be."""
    library = _library()
    from huggingface_hub.errors import StrictDataclassError

    fields = dict(settled)
    model_type = fields.pop("model_type")
    fields["attention_probs_dropout_prob"] = 0.0
    if model_type == "videomae":
        fields["hidden_dropout_prob"] = 0.0
    else:
        fields |= {"drop_path_rate": 0.0, "pred_num_hidden_layers": 1}
    try:
        return library.AutoConfig.for_model(model_type, **fields)
    except StrictDataclassError as error:
        raise ValueError(f"config: {error}") from error


def _fresh_model(config: Any) -> Any:
    return _library().AutoModel.from_config(config, attn_implementation="sdpa")


def _without_dropout(model: Any) -> Any:
    """Takes dropout layers out: those of rate 0 would still send Monte Carlo Dropout the slow way."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(module, name, nn.Identity())
    return model
