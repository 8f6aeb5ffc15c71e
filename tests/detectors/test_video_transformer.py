"""Oracles: the library's own forward pass on pixels normalised by hand; a position table resampled axis by axis."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybridal_ray.detectors.video_transformer import VideoTransformer, settled_config
from hybridal_ray.errors import UserError

transformers = pytest.importorskip("transformers", reason="the extra `transformers` is not installed")

VIDEOMAE: dict[str, Any] = {
    "model_type": "videomae",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "num_frames": 4,
}
VJEPA2: dict[str, Any] = {
    "model_type": "vjepa2",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "crop_size": 32,
    "frames_per_clip": 4,
}
BOTH = pytest.mark.parametrize("config", [VIDEOMAE, VJEPA2], ids=["videomae", "vjepa2"])


def make_encoder(config: dict[str, Any], seed: int = 0) -> VideoTransformer:
    torch.manual_seed(seed)
    return VideoTransformer(config).eval()


def library_model(config: dict[str, Any], **changed: Any) -> Any:
    """The library's model, its predictor or decoder small."""
    fields = config | changed
    if fields["model_type"] == "vjepa2":
        fields |= {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    model_type = fields.pop("model_type")
    torch.manual_seed(5)
    return transformers.AutoModel.from_config(transformers.AutoConfig.for_model(model_type, **fields)).eval()


def save(config: dict[str, Any], directory: Path, **changed: Any) -> Any:
    model = library_model(config, **changed)
    model.save_pretrained(directory)
    return model


def clips(frames: int = 4, size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, frames, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def library_tokens(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """(N, tokens, D) of the library on the same frames, as its own processor would give them to it."""
    levels = ((inputs + 1) * 127.5).permute(0, 2, 3, 4, 1).numpy()  # (N, T, H, W, 3) in [0, 255]
    pixels = (levels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pixels = torch.from_numpy(pixels).float().permute(0, 1, 4, 2, 3)
    extra = {"skip_predictor": True} if model.config.model_type == "vjepa2" else {}
    with torch.no_grad():
        return model(pixels, **extra).last_hidden_state


@BOTH
def test_loaded_weights_give_what_the_library_gives(config: dict[str, Any], tmp_path: Path) -> None:
    changed = {"use_mean_pooling": False} if config is VIDEOMAE else {}
    model = save(config, tmp_path, **changed)
    encoder = make_encoder(config | changed)
    encoder.load_pretrained(str(tmp_path))
    with torch.no_grad():
        found = encoder(clips())
    assert found.shape == (2, 2, config["hidden_size"], 2, 2)
    expected = library_tokens(model, clips()).view(2, 2, 2, 2, -1).permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_without_a_norm_of_its_own_tokens_are_normalised(tmp_path: Path) -> None:
    model = save(VIDEOMAE, tmp_path)
    encoder = make_encoder(VIDEOMAE)
    encoder.load_pretrained(str(tmp_path))
    tokens = library_tokens(model, clips())
    expected = (tokens - tokens.mean(-1, keepdim=True)) / tokens.std(-1, keepdim=True, correction=0)
    with torch.no_grad():
        found = encoder(clips()).permute(0, 1, 3, 4, 2).flatten(1, 3)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("frames", "size"), [(8, 48), (2, 32)])
def test_rotary_positions_are_those_of_the_clips_own_grid(frames: int, size: int, tmp_path: Path) -> None:
    encoder = make_encoder(VJEPA2)
    save(VJEPA2, tmp_path)
    encoder.load_pretrained(str(tmp_path))
    at_this_size = library_model(VJEPA2, crop_size=size, frames_per_clip=frames)
    with torch.no_grad():
        found = encoder(clips(frames, size)).permute(0, 1, 3, 4, 2).flatten(1, 3)
    torch.testing.assert_close(found, library_tokens(at_this_size, clips(frames, size)), atol=1e-5, rtol=1e-4)


def resampling(before: int, after: int) -> np.ndarray:
    """(after, before), each row the weights of the two cells whose middles lie around the new cell's middle."""
    weights = np.zeros((after, before))
    for cell in range(after):
        place = min(max((cell + 0.5) * before / after - 0.5, 0.0), before - 1.0)
        low = int(place)
        weights[cell, low] += 1 - (place - low)
        weights[cell, min(low + 1, before - 1)] += place - low
    return weights


def test_the_position_table_is_resampled_to_the_clips_own_grid() -> None:
    encoder = make_encoder(VIDEOMAE)
    model: Any = encoder.body.model
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    torch.nn.init.zeros_(model.embeddings.patch_embeddings.projection.weight)
    with torch.no_grad():
        encoder(clips(8, 48))  # 4 × 3 × 3 tokens from a table of 2 × 2 × 2
    table = model.embeddings.position_embeddings[0].view(2, 2, 2, -1).numpy()
    axes = [resampling(2, 4), resampling(2, 3), resampling(2, 3)]
    expected = np.einsum("at,bh,cw,thwd->abcd", *axes, table).reshape(36, -1)
    expected = expected + model.embeddings.patch_embeddings.projection.bias.detach().numpy()
    np.testing.assert_allclose(seen[0][1].numpy(), expected, atol=1e-6)


@BOTH
def test_it_draws_nothing_and_attends_by_the_fused_kernel(config: dict[str, Any]) -> None:
    encoder = make_encoder(config).train()
    with torch.no_grad():
        state = torch.get_rng_state()
        assert torch.equal(encoder(clips()), encoder(clips()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("Drop" in type(module).__name__ for module in encoder.modules())
    assert encoder.body.config._attn_implementation == "sdpa"


@BOTH
def test_every_weight_gets_a_gradient(config: dict[str, Any]) -> None:
    encoder = make_encoder(config | {"use_mean_pooling": False} if config is VIDEOMAE else config)
    encoder(clips()).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


@BOTH
def test_a_directory_settles_into_a_few_plain_values(config: dict[str, Any], tmp_path: Path) -> None:
    save(config, tmp_path)
    settled = settled_config(str(tmp_path))
    assert {name: settled[name] for name in config} == config
    assert json.loads(json.dumps(settled)) == settled
    assert settled_config(settled) == settled
    shapes = [{name: t.shape for name, t in make_encoder(c).state_dict().items()} for c in (config, settled)]
    assert shapes[0] == shapes[1]


def test_weights_under_a_head_for_classification_are_read_and_the_head_left_out(tmp_path: Path) -> None:
    fields = {name: value for name, value in VIDEOMAE.items() if name != "model_type"}
    model = transformers.VideoMAEForVideoClassification(transformers.VideoMAEConfig(**fields))
    model.save_pretrained(tmp_path)
    encoder = make_encoder(VIDEOMAE)
    encoder.load_pretrained(str(tmp_path))
    for name, tensor in model.videomae.state_dict().items():
        assert torch.equal(encoder.body.model.state_dict()[name], tensor)


def test_what_cannot_be_loaded_is_refused_in_one_message(tmp_path: Path) -> None:
    encoder = make_encoder(VIDEOMAE)
    with pytest.raises(UserError, match=r"gone: no such directory"):
        encoder.load_pretrained(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty.*config\.json: no such file"):
        encoder.load_pretrained(str(tmp_path / "empty"))
    save(VIDEOMAE, tmp_path / "wide", hidden_size=64)
    with pytest.raises(UserError, match=r"wide: hidden_size of the weights is 64, expected 32"):
        encoder.load_pretrained(str(tmp_path / "wide"))
    save(VJEPA2, tmp_path / "other")
    with pytest.raises(UserError, match=r"other: model_type of the weights is 'vjepa2', expected 'videomae'"):
        encoder.load_pretrained(str(tmp_path / "other"))
    save(VIDEOMAE, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut: not a readable video transformer"):
        encoder.load_pretrained(str(tmp_path / "cut"))


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(VIDEOMAE, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in weights if name.endswith("layernorm_before.weight"))
    save_file(
        {name: t for name, t in weights.items() if name != gone},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(UserError, match=rf"1 weights of the encoder are missing, the first '{gone}'"):
        make_encoder(VIDEOMAE).load_pretrained(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_size": 32}, r"config\.model_type is None, expected one of videomae, vjepa2"),
        (VIDEOMAE | {"hiden_size": 3}, r"config\.hiden_size: videomae has no such field; did you mean 'hidden_size'"),
        (VIDEOMAE | {"hidden_size": "wide"}, r"config: .*hidden_size"),
        (VIDEOMAE | {"patch_size": 8}, r"config\.patch_size is 8, expected 16"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        VideoTransformer(config)


def test_importing_the_detectors_does_not_import_the_library() -> None:
    code = "import sys, hybridal_ray.detectors.building; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
