"""What is said of images: prompts, captions from a file and from a model, emptied prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.cassr.captions import Captioner, CaptionFile, captioning
from srbench.modules.cassr.wording import Wording

IMAGES = torch.zeros(2, 3, 8, 8)


def wording(**more: Any) -> Wording:
    return Wording("sd15", "tiny", **more)


def embedded(held: Wording, *prompts: str) -> Tensor:
    return held.prompts.embed(prompts)


def captions_of(path: Path, text: str) -> CaptionFile:
    path.write_text(text, encoding="utf-8")
    return CaptionFile(path)


def test_a_caption_comes_before_the_prompt(tmp_path: Path) -> None:
    file = captions_of(tmp_path / "c.csv", 'name,caption\na,"a cat, on a mat"\nb,\n')
    held = wording(prompt="clean", negative="bad", captions=file)
    assert torch.equal(held.describing(["a", "b"], IMAGES), embedded(held, "a cat, on a mat, clean", "clean"))
    assert torch.equal(held.opposite(), embedded(held, "bad"))
    assert torch.equal(wording(prompt="").describing(["a"], IMAGES), embedded(held, ""))
    assert not torch.equal(embedded(held, "clean"), embedded(held, ""))


def test_captions_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no caption of 'b'"):
        captions_of(tmp_path / "c.csv", "name,caption\na,cat\n")(["a", "b"], IMAGES)
    with pytest.raises(InputError, match="no columns 'name' and 'caption'"):
        captions_of(tmp_path / "d.csv", "file;text\na;cat\n")(["a"], IMAGES)
    with pytest.raises(InputError, match="cannot be read"):
        CaptionFile(tmp_path / "none.csv")(["a"], IMAGES)
    assert captioning(None, None) is None
    assert isinstance(captioning("a.csv", None), CaptionFile)
    assert isinstance(captioning(None, "model"), Captioner)


def test_a_share_of_prompts_is_emptied_the_same_in_every_run() -> None:
    held = wording(prompt="clean", dropout=0.5)
    names, images = [f"{i}" for i in range(40)], torch.zeros(40, 3, 8, 8)
    one, again = held.learning(names, images, 7, 0), held.learning(names, images, 7, 0)
    empty = embedded(held, "")
    dropped = [bool(torch.equal(text[None], empty)) for text in one]
    assert torch.equal(one, again)
    assert 8 <= sum(dropped) <= 32
    assert not torch.equal(one, held.learning(names, images, 8, 0))
    assert not torch.equal(one, held.learning(names, images, 7, 40))
    assert torch.equal(wording(prompt="clean").learning(["a"], images[:1], 0, 0), embedded(held, "clean"))


def test_too_long_a_caption_is_refused(tmp_path: Path) -> None:
    file = captions_of(tmp_path / "c.csv", f"name,caption\na,{'word ' * 80}\n")
    with pytest.raises(InputError, match="this prompt has 82 tokens"):
        wording(prompt="clean", captions=file).describing(["a"], IMAGES[:1])


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BLIP as transformers saves it."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    folder = tmp_path_factory.mktemp("blip")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    words = [*marks, "a", "cat", "dog", "on", "the", "mat", "of", "red"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    ids = {"bos_token_id": 5, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, **ids, "vocab_size": len(words), "encoder_hidden_size": 16, "projection_dim": 8}
    config = BlipConfig(text_config=text, vision_config={**small, "image_size": 16, "patch_size": 8})
    torch.manual_seed(0)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    BlipProcessor(BlipImageProcessor(size={"height": 16, "width": 16}), tokenizer).save_pretrained(folder)
    return folder


def test_a_model_of_transformers_captions(blip: Path) -> None:
    captioner = Captioner(str(blip), words=4)
    said = captioner(["a", "b"], torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0)))
    assert len(said) == 2
    assert all(1 <= len(text.split()) <= 1 + 4 for text in said), said  # the first token marks the beginning
    assert captioner._parts is captioner._parts


def test_a_model_that_is_not_here_is_named() -> None:
    with pytest.raises(InputError, match="no captioner can be made of it") as caught:
        Captioner("nobody/nothing")(["a"], IMAGES[:1])
    assert str(caught.value).startswith("nobody/nothing: ")
    assert "\n" not in str(caught.value)
