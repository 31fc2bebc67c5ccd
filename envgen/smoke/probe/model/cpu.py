"""The phase `cpu`: what must work in the image without a GPU."""

from __future__ import annotations

import encoding
import inference
import loading
import model_under_test
import training
import untrusted_code
from harness import Checks, Job


def checks(job: Job) -> Checks:
    """Return the checks for the given model; an encoder has other ones for generation."""
    encoder = model_under_test.kind(job) == model_under_test.ENCODER
    answer = ("encode", encoding.encode) if encoder else ("generate", inference.generate)
    return (
        ("tokenizer-round-trip", inference.tokenizer_round_trip),
        ("load-safetensors", loading.load_safetensors),
        answer,
        ("pipeline", encoding.pipeline if encoder else inference.pipeline),
        ("device-map-auto", inference.device_map_auto),
        ("load-bin", loading.load_bin),
        ("refuse-pickle", untrusted_code.refuse_pickle),
        ("prefer-safetensors", loading.prefer_safetensors),
        ("disk-offload", inference.disk_offload),
        ("trainer-step", training.trainer_step),
        ("refuse-remote-code", untrusted_code.refuse_remote_code),
    )
