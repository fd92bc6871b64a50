"""Columns of every frame, declared once: name, dtype, unit and meaning."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a frame."""

    name: str
    dtype: str
    unit: str
    meaning: str


CALLS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "task of a workflow that made it; empty outside of workflows"),
    Column("attempt", "int64", "", "number of the call within its task, from 1"),
    Column("case", "string", "", "label of the case; empty where there is only a prompt"),
    Column("llm", "string", "", "id of the LLM, endpoint/name"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("sample", "int64", "", "number of the sample, from 0"),
    Column("state", "string", "", "answered, failed, cancelled, in_flight or lost"),
    Column("answer", "string", "", "the answer; missing until there is one"),
    Column("score", "float64", "0 to 1", "how good the answer is; missing if nothing scored it"),
    Column("scorer", "string", "", "what scored it"),
    Column("reference", "string", "", "right answer that it was scored against"),
    Column("cost_usd", "float64", "USD", "cost of this row: 0 from the store, missing if unknown"),
    Column("original_cost_usd", "float64", "USD", "cost of the answer when it was made"),
    Column("latency_s", "float64", "s", "time of this row: 0 if from the store"),
    Column("original_latency_s", "float64", "s", "time of the answer when it was made"),
    Column("first_token_s", "float64", "s", "time to the first token when it was made"),
    Column("waited_s", "float64", "s", "time that it waited for its turn at its endpoint"),
    Column("input_tokens", "Int64", "tokens", "tokens of the prompt"),
    Column("output_tokens", "Int64", "tokens", "tokens of the answer"),
    Column("cached_input_tokens", "Int64", "tokens", "part of the prompt that was cached"),
    Column("cache_write_tokens", "Int64", "tokens", "part of the prompt that was put in a cache"),
    Column("reasoning_tokens", "Int64", "tokens", "part of the answer that was not shown"),
    Column("finish_reason", "string", "", "stop, length (cut at max_tokens) or another word"),
    Column("from_store", "bool", "", "no call was made: an earlier answer served"),
    Column("simulated", "bool", "", "answer, price and time are invented"),
    Column("runs_here", "bool", "", "the model runs on this machine"),
    Column("billed", "string", "", "no, yes, or maybe where the call broke off"),
    Column("error_kind", "string", "", "class of the error"),
    Column("error", "string", "", "what went wrong"),
    Column("price_source", "string", "", "where the price comes from"),
    Column("price_as_of", "string", "", "date of the price"),
    Column("input_usd_per_mtok", "float64", "USD/Mtok", "price of input that was used"),
    Column("output_usd_per_mtok", "float64", "USD/Mtok", "price of output that was used"),
    Column("prompt", "string", "", "last message as sent"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when the call was written down"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when its outcome was written down"),
    Column("request_key", "string", "", "SHA-256 of the request"),
    Column("call_id", "string", "", "the call"),
)
"""Columns of the calls frame: a row per LLM call."""

RUNS = (
    Column("run_id", "string", "", "the run"),
    Column("verb", "string", "", "what was run"),
    Column("workflow", "string", "", "id of the workflow; empty for ask and compare"),
    Column("status", "string", "", "running, completed, paused, cancelled, failed or interrupted"),
    Column("title", "string", "", "beginning of the prompt"),
    Column("calls", "int64", "", "calls that were really made"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("failed", "int64", "", "calls that brought no answer"),
    Column("maybe_billed", "int64", "", "calls that broke off and may have been billed"),
    Column("cost_usd", "float64", "USD", "known cost, simulated money left out"),
    Column("unpriced_calls", "int64", "", "calls whose price nobody knows"),
    Column("simulated_cost_usd", "float64", "USD", "invented cost of simulated LLMs"),
    Column("budget_usd", "float64", "USD", "limit, if there was one"),
    Column("reason", "string", "", "why it stopped"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when it began"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when it stopped"),
)
"""Columns of the runs frame: a row per run."""

SWEEP = (
    Column("number", "int64", "", "its place in the grid, from 1"),
    Column("status", "string", "", "completed, failed, paused, interrupted or waiting"),
    Column("runs", "int64", "", "runs of ask, compare, workflows and others in it"),
    Column("calls", "int64", "", "calls that were really made for it, in all attempts"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("failed", "int64", "", "calls that brought no answer"),
    Column("cost_usd", "float64", "USD", "known cost, simulated money left out"),
    Column("unpriced_calls", "int64", "", "calls whose price nobody knows"),
    Column("simulated_cost_usd", "float64", "USD", "invented cost of simulated LLMs"),
    Column("original_cost_usd", "float64", "USD", "cost of its answers when they were made"),
    Column("original_simulated_cost_usd", "float64", "USD", "the same of invented ones"),
    Column("score", "float64", "0 to 1", "mean score of its answers; missing if nothing scored"),
    Column("scored", "int64", "", "answers that it is the mean of"),
    Column("simulated", "bool", "", "one of its answers is invented"),
    Column("duration_s", "float64", "s", "time of its last attempt"),
    Column("error_kind", "string", "", "class of the error that ended it"),
    Column("error", "string", "", "what went wrong"),
    Column("path", "string", "", "the executed notebook; missing if there is none yet"),
)
"""Columns of the frame of a sweep, beside one for each parameter: a row per notebook."""

TASKS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "id of the task in its workflow"),
    Column("verb", "string", "", "kind of task: prompt, messages, python or set"),
    Column("state", "string", "", "done, failed, skipped or cancelled"),
    Column("llm", "string", "", "id of the LLM that answered; empty where none did"),
    Column("attempts", "int64", "", "LLM calls or function calls that it took"),
    Column("calls", "int64", "", "LLM calls that were really made in this run"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("cost_usd", "float64", "USD", "cost of its calls: 0 if free, missing if one is unknown"),
    Column(
        "simulated", "bool", "", "a simulated LLM answered: answer, price and time are invented"
    ),
    Column(
        "duration_s", "float64", "s", "time from its beginning to its end; missing if it has none"
    ),
    Column("queued_s", "float64", "s", "time that it was ready and waited for a slot"),
    Column("rested_s", "float64", "s", "time that it waited between attempts"),
    Column("input_tokens", "Int64", "tokens", "tokens of its prompts, stored answers included"),
    Column("output_tokens", "Int64", "tokens", "tokens of its answers, stored ones included"),
    Column("degraded", "bool", "", "a fallback stood in"),
    Column("rung", "int64", "", "which fallback stood in, from 1; 0 is none"),
    Column("skipped_because", "string", "", "why it did not run"),
    Column("when", "string", "", "its condition as written"),
    Column(
        "when_value", "boolean", "", "what the condition gave; missing where it was not reached"
    ),
    Column("error_kind", "string", "", "class of the error"),
    Column("error", "string", "", "what went wrong"),
    Column("answer", "string", "", "its text, or its value as JSON; missing if it gave none"),
    Column("kept_from", "string", "", "earlier run whose result was taken over; empty if none"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when it began"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when its outcome was written down"),
)
"""Columns of the tasks frame: a row per task of a workflow."""

PARTS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "id of the task that it is a part of"),
    Column("part", "string", "", "its name: each[3], draft#2, plan/draft"),
    Column("iteration", "Int64", "", "number of a round of a refinement, from 1"),
    Column("score", "float64", "0 to 1", "how good a judge found it; missing if none did"),
    *(column for column in TASKS if column.name not in {"run_id", "task", "when", "when_value"}),
)
"""Columns of the parts frame: a row per part of a task."""

USE = (
    Column("time_s", "float64", "s", "seconds since the first call began"),
    Column("in_flight", "int64", "", "calls that are made at this time"),
    Column("tokens_per_s", "float64", "tokens/s", "tokens of answers that come in at this time"),
)
"""Columns of the use frame: a row whenever a call begins or ends."""

MEMBERS = (
    Column("task", "string", "", "the task that several LLMs worked on"),
    Column("name", "string", "", "the member: its LLM, #2 behind a second sample, or an expert"),
    Column("llm", "string", "", "id of the LLM that answered"),
    Column("state", "string", "", "done, failed or skipped"),
    Column("answer", "string", "", "its short answer, as it was counted"),
    Column("score", "float64", "0 to 1", "score of its answer, where answers are scored"),
    Column("weight", "float64", "", "what its vote counts"),
    Column("taken", "bool", "", "its answer is the result"),
    Column("agrees", "bool", "", "it gave the same answer as the result"),
    Column("cost_usd", "float64", "USD", "cost in this run; 0 from the store"),
    Column("simulated", "bool", "", "its answer is invented"),
    Column("error", "string", "", "why it gave none"),
)
"""Columns of the members frame: a row for each LLM of a task that several worked on."""

REVIEWS = (
    Column("task", "string", "", "the task whose answer was reviewed"),
    Column("number", "int64", "", "number of the finding within its task, from 1"),
    Column("round", "int64", "", "the round in which it was found, from 1"),
    Column("severity", "string", "", "critical, major or minor"),
    Column("claim", "string", "", "what is wrong, in the reviewer's words"),
    Column("reviewer", "string", "", "who found it"),
    Column("simulated", "bool", "", "its reviewer is simulated"),
    Column("disposition", "string", "", "what the author did: fixed, rejected or open"),
    Column("why", "string", "", "why, in the author's words"),
    Column("verdict", "string", "", "what the reviewer then said: resolved or stands"),
)
"""Columns of the reviews frame: a row for each finding of a peer review."""

SCORES = (
    Column("number", "int64", "", "its place among all scores of the store: a version"),
    Column("run_id", "string", "", "the run in which the answer was given"),
    Column("call_id", "string", "", "the call that gave it, as in the calls frame"),
    Column("llm", "string", "", "id of the LLM that answered"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("task_type", "string", "", "kind of task; empty for any"),
    Column("scorer", "string", "", "what scored it: a check, judges, or who rated it"),
    Column("source", "string", "", "check, judge or human"),
    Column("score", "float64", "0 to 1", "how good the answer is"),
    Column("n", "int64", "", "checks, judgements or ratings that it is the mean of"),
    Column("low", "float64", "0 to 1", "lower end of its 95 % interval; missing if unknown"),
    Column("high", "float64", "0 to 1", "upper end of its 95 % interval; missing if unknown"),
    Column("explanation", "string", "", "why, in a few words"),
    Column("simulated", "bool", "", "the answer or its judge is invented"),
    Column("counts", "bool", "", "it may be learned from"),
    Column("time_utc", "datetime64[ns, UTC]", "UTC", "when it was written down"),
)
"""Columns of the scores frame: a row per score of an answer."""

DECISIONS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "the task that an LLM was chosen for"),
    Column("part", "string", "", "its part, such as an item of a map; the task itself without one"),
    Column("attempt", "int64", "", "call of the task that it was chosen for, from 1; 0 in a plan"),
    Column("call_id", "string", "", "that call, as in the calls frame; empty in a plan"),
    Column("at", "string", "", "plan, or call: at the moment of the call"),
    Column("router", "string", "", "what chose"),
    Column("llm", "string", "", "id of the LLM that was chosen"),
    Column("reason", "string", "", "why, one sentence"),
    Column("candidates", "object", "", "everybody who could be chosen: llm, expected, outcome ..."),
    Column("expected", "float64", "0 to 1", "score that was expected; missing if none was"),
    Column("propensity", "float64", "0 to 1", "probability of the choice; 1 where it was certain"),
    Column("learned_version", "Int64", "", "version of what scores had taught by then"),
    Column("left_usd", "float64", "USD", "money that was left; missing without a limit"),
    Column("in_flight", "Int64", "", "calls of the run that were on their way"),
    Column("simulated", "bool", "", "the LLM is simulated"),
    Column("time_utc", "datetime64[ns, UTC]", "UTC", "when it was written down"),
)
"""Columns of the decisions frame: a row for each choice of an LLM."""

MITIGATIONS = (
    Column("task", "string", "", "the task"),
    Column("skill", "string", "", "what its LLMs are weak in"),
    Column("need", "float64", "0 to 1", "least skill that it needs"),
    Column("have", "float64", "0 to 1", "skill of the LLM that is weak"),
    Column("measure", "string", "", "avoid, scaffold, verify or off"),
    Column("said", "string", "", "what was done"),
    Column("extra_calls", "int64", "", "calls of the task beyond the first of each part"),
    Column("extra_cost_usd", "float64", "USD", "what they cost; missing if one is unknown"),
)
"""Columns of the mitigations frame: a row for each weakness that something was done about."""

LEARNED = (
    Column("llm", "string", "", "id of the LLM"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("task_type", "string", "", "kind of task; empty for any"),
    Column("n", "int64", "", "answers that were scored"),
    Column("mean", "float64", "0 to 1", "mean score of them"),
    Column("low", "float64", "0 to 1", "lower end of its 95 % interval; missing if unknown"),
    Column("high", "float64", "0 to 1", "upper end of its 95 % interval; missing if unknown"),
    Column("quality", "float64", "0 to 1", "mean drawn to that of all LLMs: what routing reads"),
    Column("simulated", "bool", "", "the LLM is simulated"),
)
"""Columns of the frame of what was learned: a row per LLM, setting and kind of task."""

DISAGREEMENTS = (
    Column("case", "string", "", "label of the case; empty where there is only a prompt"),
    Column("answers", "int64", "", "answers to it"),
    Column("distinct", "int64", "", "different answers, case and end marks left aside"),
    Column("agreement", "float64", "0 to 1", "share of the pairs of answers that are equal"),
    Column("spread", "float64", "0 to 1", "best score less worst; missing without two scores"),
    Column("best", "string", "", "who has the best score, alone; empty in a tie"),
    Column("worst", "string", "", "who has the worst score, alone; empty in a tie"),
    Column("commonest", "string", "", "the commonest answer; the first of them in a tie"),
    Column("dissent", "string", "", "whose answer is another one, with commas"),
    Column("failed", "int64", "", "calls that brought no answer"),
    Column("simulated", "bool", "", "one of the answers is invented"),
)
"""Columns of the disagreements: a row per case, those that differ most first."""

STABILITY = (
    Column("case", "string", "", "label of the case; empty where there is only a prompt"),
    Column("llm", "string", "", "id of the LLM"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("samples", "int64", "", "how often it was asked"),
    Column("answered", "int64", "", "answers that came"),
    Column("distinct", "int64", "", "different answers, case and end marks left aside"),
    Column("commonest_share", "float64", "0 to 1", "share of the commonest among its answers"),
    Column("commonest", "string", "", "the commonest answer; the first of them in a tie"),
    Column("score", "float64", "0 to 1", "mean score of its answers"),
    Column("spread", "float64", "0 to 1", "best score less worst; missing without two scores"),
    Column("simulated", "bool", "", "its answers are invented"),
)
"""Columns of the stability: a row per case, LLM and setting, over its samples."""

PAIRED = (
    Column("baseline", "string", "", "the LLM that others are compared with"),
    Column("against", "string", "", "the other LLM"),
    Column("cases", "int64", "", "cases that both have a score for"),
    Column("mean", "float64", "-1 to 1", "mean of the baseline's score less the other's"),
    Column("low", "float64", "-1 to 1", "lower end of the interval of that mean"),
    Column("high", "float64", "-1 to 1", "upper end of the interval of that mean"),
    Column("level", "float64", "0 to 1", "level of the interval; all together hold at 0.95"),
    Column("won", "int64", "", "cases in which the baseline is better"),
    Column("tied", "int64", "", "cases in which both are equal"),
    Column("lost", "int64", "", "cases in which the other is better"),
    Column("shown", "bool", "", "a difference is shown: the interval leaves out zero"),
    Column("simulated", "bool", "", "one of the two is simulated"),
)
"""Columns of the paired differences: a row for each LLM that the baseline is compared with."""

CHANGES = (
    Column("change", "string", "", "regression, fixed, changed, same, lost, new or gone"),
    Column("case", "string", "", "label of the case; empty where there is only a prompt"),
    Column("llm", "string", "", "id of the LLM"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("sample", "int64", "", "number of the sample, from 0"),
    Column("score_before", "float64", "0 to 1", "its score in the earlier run"),
    Column("score", "float64", "0 to 1", "its score in this run"),
    Column("similarity", "float64", "0 to 1", "share of common words of the two answers"),
    Column("answer_before", "string", "", "its answer in the earlier run"),
    Column("answer", "string", "", "its answer in this run"),
    Column("cost_more_usd", "float64", "USD", "what the answer cost more when it was made"),
    Column("simulated", "bool", "", "one of the two answers is invented"),
)
"""Columns of the changes from an earlier run: a row per case, LLM, setting and sample."""

SPENT = (
    Column("by", "string", "", "the LLM, task or day"),
    Column("calls", "int64", "", "calls that were really made"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("failed", "int64", "", "calls that brought no answer"),
    Column("cost_usd", "float64", "USD", "known cost, simulated money left out"),
    Column("saved_usd", "float64", "USD", "what answers from the store had cost when made"),
    Column("unpriced_calls", "int64", "", "calls whose price nobody knows"),
    Column("simulated_cost_usd", "float64", "USD", "invented cost of simulated LLMs"),
    Column("input_tokens", "int64", "tokens", "tokens of the prompts of calls that were made"),
    Column("output_tokens", "int64", "tokens", "tokens of the answers of calls that were made"),
)
"""Columns of what was spent: a row per LLM, task or day, the dearest first."""
