"""Shell commands that start LLaMA-Factory, as people keep and paste them, read as configurations."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.engine import plans
from lfdash.engine.services import Project, Services
from lfdash.errors import ConfigError
from lfdash.jobs import command_format
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.command_format import handed_on, is_command, read_command
from lfdash.jobs.kinds import SERVING
from lfdash.jobs.shell_format import COMMAND_COSTS
from lfdash.jobs.yaml_format import MAX_BYTES
from tests.support import ROOT
from tests.support.jobs import GOOD

RUN = "llamafactory-cli train --stage sft"
MANY = "".join(f"A{number}=\n" for number in range(500))  # variables


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (f"{RUN} --lora_rank 8", {"lora_rank": 8}),
        (f"{RUN} --lora_rank=8 --do_train --fp16 False", {"lora_rank": 8, "do_train": True, "fp16": False}),
        (f"{RUN} \\\n   --learning_rate 5e-05 \\  \n --bf16 True", {"learning_rate": 5e-5, "bf16": True}),
        (f"{RUN} `\n --cutoff_len 512 `\n --max_samples 10", {"cutoff_len": 512, "max_samples": 10}),  # PowerShell
        (f"{RUN} --per-device-train-batch-size 2", {"per_device_train_batch_size": 2}),
        (f"{RUN} --output_dir 'a b' --dataset \"x,y\"", {"output_dir": "a b", "dataset": "x,y"}),
        (f"{RUN} --run_name 2024 --save_strategy no", {"run_name": "2024", "save_strategy": "no"}),
        (f"{RUN} --lora_target q_proj v_proj", {"lora_target": ["q_proj", "v_proj"]}),
        (f"{RUN} --lr_scheduler_kwargs '{{\"min_lr\": 1e-6}}'", {"lr_scheduler_kwargs": {"min_lr": 1e-6}}),
        (f"```bash\n{RUN} \\\n  --lr_scheduler_kwargs {{\"a\": 1e-06}} \n```", {"lr_scheduler_kwargs": {"a": 1e-6}}),
        (f"{RUN} --max_steps -1 --val_size 0.1 # --seed 3", {"max_steps": -1, "val_size": 0.1}),
        (f"# {RUN} --seed 1\n{RUN} --seed 2 > log.txt 2>&1", {"seed": 2}),
        (f"{RUN} --seed 2 | tee out.log", {"seed": 2}), (f"cd x && {RUN} --seed 2 && echo done", {"seed": 2}),
        ("python -m llamafactory.cli train --stage sft --seed 2", {"seed": 2}),
        ("/opt/bin/llamafactory-cli train --stage sft --seed 2", {"seed": 2}),
        ("accelerate launch --num_processes 2 src/train.py --stage sft --seed 2", {"seed": 2}),
        ("deepspeed --include localhost:0,1 src/train_bash.py --stage sft --deepspeed d.json", {"deepspeed": "d.json"}),
        ("nohup python -u ../src/train_bash.py --stage sft --seed 2 &", {"seed": 2}),
        ("M=a/b\nR=16\nllamafactory-cli train --stage sft --model_name_or_path ${M} --lora_rank $R",
         {"model_name_or_path": "a/b", "lora_rank": 16}),
        ("llamafactory-cli train --stage sft --seed ${SEED:-7}", {"seed": 7}),
        ("D=x\nllamafactory-cli train --stage sft --dataset '$D'", {"dataset": "$D"}),
        ("lmf train --stage sft --quantization_bit 4", {"quantization_bit": 4}),
        ("cat > c.yaml <<EOF\nstage: sft\nlora_rank: 4\nEOF\nllamafactory-cli train c.yaml lora_rank=8 seed=3",
         {"lora_rank": 8, "seed": 3}),
        (f"A='--seed 3'\nA+=' --lora_rank 4'\nif x; then B=1; fi\n{RUN} $A", {"seed": 3, "lora_rank": 4}),
        ("A=(--stage sft # a\n --dataset 'x y')\nA+=(--seed 3)\nllamafactory-cli train \"${A[@]}\"",
         {"dataset": "x y", "seed": 3}),
        (f"bash -c '{RUN} --seed 2'", {"seed": 2}),
        (f"cd x; nohup /bin/bash -lc 'cd y && {RUN} --output_dir \"a b\" --seed 2' > log.txt 2>&1 &",
         {"output_dir": "a b", "seed": 2}),
        (f"nohup bash -e -c \"\n  {RUN} \\\n    --dataset 'x,y' \\\n    --seed 2\n\" &", {"dataset": "x,y", "seed": 2}),
        (f"srun -N 2 sh -c 'sh -c \"{RUN} --seed 2\"'", {"seed": 2}),
        (f"D=x\nS=2\nexport S\nbash -c '{RUN} --seed $S'", {"seed": 2}),
        (f"D=x\nbash -c \"{RUN} --dataset $D\"", {"dataset": "x"}),
        ("S=sft\ncat <<EOF > conf/c.yaml\nstage: $S\nseed: 3\nEOF\nllamafactory-cli train conf/c.yaml", {"seed": 3}),
    ],
)
def test_a_command_is_read(text: str, args: dict[str, Any]) -> None:
    assert is_command(text)
    assert read_command(text).args == {"stage": "sft", **args}


def test_the_environment_before_it() -> None:
    text = f"export A=1 B='x y'\nC=2\nFORCE_TORCHRUN=1 CUDA_VISIBLE_DEVICES=0,1 {RUN}"
    found = read_command(text)
    assert found.env == {"A": "1", "B": "x y", "FORCE_TORCHRUN": "1", "CUDA_VISIBLE_DEVICES": "0,1"}


def test_a_script_for_another_shell_sees_what_is_exported_and_keeps_its_own() -> None:
    text = f"A=1\nexport B=2\nC=3 bash -c 'D=4; E=5 {RUN} --dataset $A --seed $B'\n{RUN} --seed 9 --dataset $D"
    found = read_command(text)
    assert (found.args, found.unset) == ({"stage": "sft", "seed": 2}, ("dataset",))
    assert found.env == {"B": "2", "C": "3", "E": "5"} and len(found.others) == 1
    with pytest.raises(ConfigError):
        read_command("echo bash -c 'llamafactory-cli train --stage sft'")
    with pytest.raises(ConfigError):
        read_command("bash run.sh -c 'llamafactory-cli train --stage sft'")


@pytest.mark.parametrize("options", ["-o pipefail -c", "-euxo pipefail -c", "-co pipefail", "-c -e", "+o posix -lc",
                                     "--norc -c", "--rcfile x -c", "$NONE -O extglob -ec"])
def test_a_script_after_a_shells_options(options: str) -> None:
    assert read_command(f"NONE=\nnohup bash {options} '{RUN} --seed 2'").args == {"stage": "sft", "seed": 2}


@pytest.mark.parametrize(
    "text",
    [
        "export X=1; env -u X bash -c '{run}'", "export X=1; env -uX bash -c '{run}'",
        "export X=1; env -i bash -c '{run}'",
        "export X=1; nohup env --unset=X bash -c '{run}'", "export X=1; srun -N 2 env --unset X bash -c '{run}'",
        "export X=1; env - A=2 bash -c '{run}'", "export X=1; /usr/bin/env -vi bash -c '{run}'",
        "export X=1; exec -c bash -c '{run}'", "export X=1; unset X; bash -c '{run}'",
        "export X=1; unset -v X; {run}", "export X=1; unset X\nX=2\nbash -c '{run}'",
        "export X=1; export -n X; bash -c '{run}'", "export -n X=1; bash -c '{run}'",
        "declare -x X=1; declare +x X; bash -c '{run}'", "(export X=9); bash -c '{run}'",
        "( case a in (a) Y=1;; esac; export X=9 ) && {run}", "(export X=9; (X=8); true); {run}", "env X=1; {run}",
        "bash -c 'export X=1'; {run}", "export X=9 | cat; {run}", "echo 1 | export X=9; {run}", "export X=9 & {run}",
        "test a && export X=9 && sleep 1 &\n{run}",
        "export X=9 && true | sleep 1 &\n{run}", "unset X; export X=9 | true && sleep 1 &\n{run}",
    ],
)
def test_a_value_that_a_shell_would_not_give(text: str) -> None:
    found = read_command(text.replace("{run}", f"{RUN} --seed 3 --learning_rate $X"))
    assert (found.args, found.unset) == ({"stage": "sft", "seed": 3}, ("learning_rate",))
    assert "X" not in found.env and "X" not in found.unset_env


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("export X=1; unset -f X; {run}", 1), ("(X=9); export X=1; (unset X); {run}", 1),
        ("export X=1; (env -u X bash -c 'true'); {run}", 1), ("export X=1; env -i X=2 bash -c '{run}'", 2),
        ("srun env X=2 bash -c '{run}'", 2), ("(export X=4; {run})", 4), ("X=1; export -n X; {run}", 1),
        ("export X=3 &> log.txt; {run}", 3), ("export X=3 2>&1 && {run} | tee log", 3), ("export X=3 && {run} &", 3),
        ("export X=3 && true | cat; {run}", 3), ("export X=1; X+=2 bash -c '{run}'", 12),
        ("export X; X=1; bash -c '{run}'", 1), ("declare -x X=1; bash -c '{run}'", 1),
    ],
)
def test_a_value_that_a_shell_gives(text: str, seen: int) -> None:
    found = read_command(text.replace("{run}", f"{RUN} --seed $X"))
    assert (found.args, found.unset) == ({"stage": "sft", "seed": seen}, ())


def test_a_variable_that_was_taken_away_does_not_come_back() -> None:
    name = "CUDA_VISIBLE_DEVICES"
    for after in ("unset NAME; RUN", "env -u NAME RUN", "env -i RUN", "export -n NAME; RUN",
                  "env -u NAME bash -c 'RUN'"):
        found = read_command(f"export {name}=1; " + after.replace("NAME", name).replace("RUN", RUN))
        assert (found.env, found.unset_env, found.launcher) == ({}, (), ()), after
    for after in ("test a && unset NAME; RUN", "if a; then unset NAME; fi; RUN", "test a && export -n NAME; RUN",
                  "if a; then unset NAME; fi; NAME=2; RUN", "if a; then export -n NAME; fi; RUN", "unset $A; RUN",
                  "env -u $A RUN"):
        found = read_command(f"export {name}=1; " + after.replace("NAME", name).replace("RUN", RUN))
        assert (found.env, found.unset_env) == ({}, (name,)), f"{after}: nobody knows"


def test_scripts_in_scripts_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    read = command_format.started
    monkeypatch.setattr(command_format, "started", lambda *args, **given: calls.append(1) or read(*args, **given))
    with pytest.raises(ConfigError) as caught:
        read_command(f"export S='bash -c \"$S;$S;$S;$S\"'; bash -c \"$S;{RUN} --output_dir a\"")
    assert caught.value.code == "large" and len(calls) <= MAX_BYTES / COMMAND_COSTS


@pytest.mark.parametrize(
    "text",
    ["A=(x)\n" + "A=(\"${A[@]}\" \"${A[@]}\")\n" * 22, "A=\n" * 10_001, f"{RUN}\n" + "--a\n" * 10_001,
     MANY + "(" * 2001, MANY + "if " * 2001,
     MANY + "unset $A" + " $A" * 2001, MANY + "a|" * 2001,
     MANY.replace("A", "export A") + "env " + "-u $A " * 2001],
    ids=["array", "commands", "options", "subshells", "branches", "unset", "pipes", "env"],
)
def test_a_short_text_that_asks_for_much(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_command(f"{text} {RUN}")
    assert caught.value.code == "large"


class Counted(list[str]):
    """Words that count how many of them are looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        Counted.looks += len(found) if isinstance(place, slice) else 1
        return found


def test_the_options_of_a_shell_are_looked_at_once() -> None:
    for words in (["bash", *["-x"] * 2000, "-c", "a"], ["-x"] * 2000, ["bash"] * 2000, ["bash", *["-o"] * 2000]):
        Counted.looks = 0
        handed_on(Counted(words))
        assert 0 < Counted.looks < 5 * len(words)


def test_what_the_text_does_not_say_is_left_out_and_named() -> None:
    text = "torchrun --nproc_per_node $N src/train.py --stage sft --dataset $1 --output_dir out/$NAME --seed 3 $MORE\n"
    found = read_command(text)
    assert (found.args, found.unset) == ({"stage": "sft", "seed": 3}, ("dataset", "output_dir"))
    assert (found.launcher, found.unread) == (("--nproc_per_node", "$N"), ("$MORE",))
    options = "--reward_model ${A} --dataset $A --do_train $A --output_dir \"$A\""
    found = read_command(f"A=\nexport B=$1\nC=$2 {RUN} {options}")
    assert found.args == {"stage": "sft", "do_train": True, "output_dir": ""}, "an empty one vanishes, as in bash"
    assert (found.unset, found.unset_env) == (("reward_model", "dataset"), ("B", "C"))
    assert read_command(f"{RUN} --plot_loss $A --fp16").unread == ("$A",), "a switch needs no value"


def test_a_comment_ends_a_command_and_no_line_is_lost() -> None:
    assert read_command(f"# python a.py \\\nD=x\n{RUN} --dataset $D").args == {"stage": "sft", "dataset": "x"}
    text = f"{RUN} --seed 1 \\\n  # --fp16 \\\n\n  # a\n  --dataset d \\\n  --lora_rank=8\necho --x\n  --bf16"
    found = read_command(f"{text}\n{RUN}\n --x")
    assert (found.args, found.unread) == ({"stage": "sft", "seed": 1}, ("--dataset", "--lora_rank"))


def test_what_only_a_branch_sets_is_not_known_after_it() -> None:
    text = "Q=\nif [ -n \"$1\" ]; then\n  Q='--quantization_bit 4'\n  R=8\nfi\n"
    found = read_command(text + f"{RUN} --plot_loss ${{Q}} --fp16 --lora_rank $R")
    assert (found.args, found.unread, found.unset) == (
        {"stage": "sft", "plot_loss": True, "fp16": True}, ("$Q",), ("lora_rank",),
    )
    found = read_command(f"if x; then D=a; {RUN} --dataset $D; else D=b; {RUN} --dataset $D; fi")
    assert (found.args["dataset"], found.others) == ("a", ("train --dataset b",))
    assert read_command(f"for R in 8 16; do\n{RUN} --lora_rank $R\ndone").unset == ("lora_rank",)
    assert read_command(f"[ -z $1 ] && S=1\n{RUN} --seed $S").unset == ("seed",)
    assert read_command(f"cd x && S=1\n{RUN} --seed $S").args["seed"] == 1


def test_other_commands_are_named() -> None:
    text = f"llamafactory-cli chat --template qwen\nllamafactory-cli train a.yaml seed=1\n{RUN} --output_dir saves/x\n"
    found = read_command(text + "python src/export_model.py --export_dir e --dataset $1")
    assert found.args["output_dir"] == "saves/x"
    assert found.others == ("chat", "train a.yaml", "export --export_dir e")
    assert read_command(text, {"a.yaml": "stage: sft"}.get).args == {"stage": "sft", "seed": 1}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("llamafactory-cli api x.yaml", "command_file"), ("llamafactory-cli webui ", "not_job_webui"),
        ("python src/train_web.py ", "not_job_webui"),
        ("llamafactory-cli eval --task mmlu", "not_job_benchmark"),
        ("llamafactory-cli train examples/x.yaml", "command_file"),
        ("llamafactory-cli version ", "no_command"), (f"{RUN} --dataset 'a", "command_quote"),
    ],
)
def test_what_is_no_job(text: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_command(text)
    assert caught.value.code == code


@pytest.mark.parametrize("command", ["llamafactory-cli chat", "llamafactory-cli api", "python src/cli_demo.py"])
def test_a_chat_is_known_by_its_command(command: str) -> None:
    found = read_command(f"{command} --model_name_or_path m")
    assert found.args == {"model_name_or_path": "m", "infer_backend": "huggingface"}
    assert job_from_args(found.args).kind == SERVING.name


def test_the_file_that_it_names() -> None:
    found = read_command("llamafactory-cli train a/x.yaml seed=2", {"a/x.yaml": "stage: dpo\nseed: 1"}.get)
    assert found.args == {"stage": "dpo", "seed": 2}


@pytest.mark.parametrize(
    "text",
    [
        "stage: sft\n# llamafactory-cli train x.yaml\n", "deepspeed: ds.json\na: b", "a: llamafactory-cli train x",
        "- llamafactory-cli train x.yaml", '{"stage": "sft"}', "python train.py: 1", "", "torchrun my_script.py --a 1",
    ],
)
def test_what_is_no_command(text: str) -> None:
    assert not is_command(text)


def test_our_own_preview_is_read_back(tmp_path: Any) -> None:
    services = Services(Project(ROOT), tmp_path)
    job = job_from_args({**GOOD, "learning_rate": 5e-5, "report_to": "none"}, {"CUDA_VISIBLE_DEVICES": "1"})
    preview = str(plans.prepare(services, job, "").plan)
    services.close()
    found = read_command(preview)
    assert is_command(preview) and found.args == build_args(job) and found.env["CUDA_VISIBLE_DEVICES"] == "1"
