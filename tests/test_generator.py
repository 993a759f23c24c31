"""The generator's network and flow: the published sizes, the original's numbers, missing modalities, bad input."""

import dataclasses

import pytest
import torch
from public_generator import fill, public_name, wave, waves

from torchmetrics_majorscore.training.generator.averaging import PowerAverage, power_of
from torchmetrics_majorscore.training.generator.flow import draw_times, flow_loss, follow, guided, sample
from torchmetrics_majorscore.training.generator.network import GeneratorNetwork
from torchmetrics_majorscore.training.generator.prompt import Prompt
from torchmetrics_majorscore.training.generator.rates import Rates
from torchmetrics_majorscore.training.generator.sizes import PUBLISHED, GeneratorSizes

SIZES = GeneratorSizes(latent=6, clip=10, sync=12, text=14, text_length=5, hidden=32, heads=2, joint=2, single=2)
LATENT = 11

# hkchengrex/MMAudio@974010a on the CPU: MMAudio(latent_dim=6, clip_dim=10, sync_dim=12, text_dim=14, hidden_dim=32,
# depth=4, fused_depth=2, num_heads=2, latent_seq_len=11, clip_seq_len=4, sync_seq_len=16, text_seq_len=5), its weights
# and inputs from waves() and make_prompt(); every 16th number of two samples. Velocity at t = 0.2 and 0.7; guided with
# 4.5 at t = 0.3; the sample of 25 steps, without normalisation.
VELOCITY = [-0.032827, 0.208017, -0.486853, 0.96653, 0.143261, -1.006255, -0.235241, -1.164029]
GUIDED = [-0.715774, 0.182631, -0.295806, 1.681738, -0.157745, -1.066139, -1.01572, -2.849299]
SAMPLE = [1.400431, 1.317345, -0.401822, -0.372516, -1.580936, -0.03186, 2.339747, -0.813714]
PARAMETERS = {
    "small-16k": 157_283_644,
    "small-44k": 157_409_144,
    "medium-44k": 621_805_944,
    "large-44k": 1_030_002_168,
}


def make_network(**changes):
    network = GeneratorNetwork(dataclasses.replace(SIZES, **changes)).eval()
    fill(network, waves({public_name(name): tuple(x.shape) for name, x in network.state_dict().items()}))
    return network


def make_prompt(clip=4, sync=16, text=5, count=2):
    parts = {"clip": (clip, SIZES.clip), "sync": (sync, SIZES.sync), "text": (text, SIZES.text)}
    there = torch.ones(count, dtype=torch.bool)
    return Prompt(*(wave(name, (count, *shape)) for name, shape in parts.items()), there, there)


def make_noise(length=LATENT, count=2):
    return wave("noise", (count, length, SIZES.latent))


@pytest.fixture(scope="module")
def network():
    return make_network()


def velocity(network, prompt, length=LATENT):
    with torch.no_grad():
        return network(make_noise(length, len(prompt.clip)), torch.tensor([0.2, 0.7]), network.condition(prompt))


def each_sixteenth(x):
    return x.flatten()[::16][:8]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_have_the_published_number_of_parameters(name):
    with torch.device("meta"):
        network = GeneratorNetwork(PUBLISHED[name])
    assert sum(x.numel() for x in network.state_dict().values()) == PARAMETERS[name]


def test_velocity_is_the_originals(network):
    found = velocity(network, make_prompt())
    torch.testing.assert_close(each_sixteenth(found), torch.tensor(VELOCITY), atol=1e-5, rtol=0)


def test_guided_velocity_is_the_originals(network):
    with torch.no_grad():
        found = guided(network, make_prompt(), 4.5)(make_noise(), torch.full((2,), 0.3))
    torch.testing.assert_close(each_sixteenth(found), torch.tensor(GUIDED), atol=1e-5, rtol=0)


def test_sample_of_25_steps_is_the_originals(network):
    found = sample(network, make_prompt(), make_noise())
    torch.testing.assert_close(each_sixteenth(found), torch.tensor(SAMPLE), atol=1e-5, rtol=0)


def test_no_guidance_below_one(network):
    found = guided(network, make_prompt(), 0.9)(make_noise(), torch.tensor([0.2, 0.7]))
    assert torch.equal(found, velocity(network, make_prompt()))


@pytest.mark.parametrize("lengths", [(1, 8, 5), (7, 24, 3)])
def test_any_lengths(network, lengths):
    assert velocity(network, make_prompt(*lengths), 17).shape == (2, 17, SIZES.latent)


def test_a_frame_of_the_latent_sees_the_synchronisation_feature_of_its_time():
    network = make_network(joint=1, single=0)
    prompt = make_prompt(sync=64)
    prompt.sync[0, 40:] += 1.0
    moved = (velocity(network, prompt, 64) - velocity(network, make_prompt(sync=64), 64))[0].abs().amax(dim=-1)
    assert moved[41:].mean() > 5 * moved[:25].mean()  # through attention alone, and not at its own time


def test_missing_modalities_are_those_of_their_own_sample(network):
    prompt, yes = make_prompt(), torch.tensor([True, False])
    half = prompt._replace(seen=yes, told=~yes)
    found = velocity(network, half)
    changed = half._replace(clip=prompt.clip + (~yes)[:, None, None], text=prompt.text + yes[:, None, None])
    assert torch.equal(found, velocity(network, changed))
    empties = prompt._replace(
        clip=torch.where(yes[:, None, None], prompt.clip, network.empty_clip),
        sync=torch.where(yes[:, None, None], prompt.sync, network.empty_sync),
        text=torch.where(yes[:, None, None], network.empty_text, prompt.text),
    )
    assert torch.equal(found, velocity(network, empties))
    assert not torch.allclose(found, velocity(network, prompt))


@pytest.mark.parametrize(
    ("missing", "learned"),
    [
        ("learned", {"empty_clip", "empty_sync"}),
        ("all learned", {"empty_clip", "empty_sync", "empty_text"}),
        ("zeros", set()),
    ],
)
def test_what_stands_for_a_missing_modality_is_learned_or_not(missing, learned):
    network = make_network(missing=missing)
    prompt = make_prompt().drop(torch.tensor([True, False]), torch.tensor([False, True]))
    network(make_noise(), torch.tensor([0.2, 0.7]), network.condition(prompt)).square().mean().backward()
    moved = {name for name, x in network.named_parameters() if "empty" in name and x.grad is not None}
    assert moved == learned


def test_variants_of_synchronisation():
    prompt = make_prompt()
    other = prompt._replace(sync=-prompt.sync)
    without, summed = (GeneratorNetwork(dataclasses.replace(SIZES, sync_as=kind)) for kind in ("none", "summed"))
    assert not {name for name in without.state_dict() if "sync" in name}
    for network in (without, summed):
        for number, (_, value) in enumerate(network.named_parameters()):
            value.data.add_(wave(str(number), value.shape, 0.1))
    assert torch.equal(velocity(without, prompt), velocity(without, other))
    assert not torch.allclose(velocity(summed, prompt), velocity(summed, other))
    assert summed.condition(prompt).visual.shape[1] == prompt.sync.shape[1]
    assert summed.condition(prompt).sync is None


def test_loss_is_that_of_the_straight_way():
    x0, x1 = make_noise(), wave("latent", (2, LATENT, SIZES.latent))
    t = torch.tensor([0.0, 0.5])
    seen = []
    loss = flow_loss(lambda x, t: seen.append(x) or torch.zeros_like(x), x0, x1, t)
    assert torch.equal(seen[0], torch.stack([x0[0], (x0[1] + x1[1]) / 2]))
    torch.testing.assert_close(loss, (x1 - x0).square().mean(dim=(1, 2)))
    assert flow_loss(lambda x, t: x1 - x0, x0, x1, t).abs().max() == 0


def test_euler_follows_a_straight_way_to_its_end():
    noise, end = make_noise(), wave("latent", (2, LATENT, SIZES.latent))
    for steps in (1, 7):
        torch.testing.assert_close(follow(lambda x, t: end - noise, noise, steps), end)


def test_times_are_logit_normal():
    times = draw_times(100_000, torch.Generator().manual_seed(0)).logit()
    assert abs(float(times.mean())) < 0.02
    assert abs(float(times.std()) - 1.0) < 0.02


def test_average_has_the_width_that_was_asked_for():
    power = power_of(0.05)
    assert power == pytest.approx(16.97, abs=0.01)  # Karras et al., section 3.1
    module = torch.nn.Linear(1, 1, bias=False)
    average, steps = PowerAverage(module, 0.05), 400
    for step in range(1, steps + 1):
        module.weight.data.fill_(step / steps)
        average.update(module)
    weights = torch.arange(1, steps + 1, dtype=torch.float64).div(steps).pow(power)
    expected = float((weights * torch.arange(1, steps + 1) / steps).sum() / weights.sum())
    with average.inside(module):
        assert module.weight.item() == pytest.approx(expected, abs=0.003)
    assert module.weight.item() == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip": torch.zeros(2, 4, 11)}, r"clip features \(B, T, 10\), got \(2, 4, 11\)"),
        ({"sync": torch.zeros(2, 15, 12)}, "segments of 8, got 15"),
        ({"text": torch.zeros(2, 0, 14)}, "at least one each"),
        ({"text": torch.zeros(2, 4, 14), "told": torch.tensor([True, False])}, "text of 5 tokens.*got 4"),
    ],
)
def test_features_that_do_not_fit_are_refused(network, change, says):
    with pytest.raises(ValueError, match=says):
        network.condition(make_prompt()._replace(**change))


def test_lengths_of_no_duration_are_refused():
    rates = Rates()
    rates.check(250, 64, 192)
    rates.check(250, 0, 0)
    rates.check(125, 32, 88)  # of 4 s: 11 segments
    with pytest.raises(ValueError, match=r"latent 8.00 s .250 at 31.25., clip 4.00 s"):
        rates.check(250, 32, 88)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="even width, got 7 heads for 100"):
        GeneratorSizes(hidden=100)
    with pytest.raises(ValueError, match="at least one joint block"):
        GeneratorSizes(joint=0)
