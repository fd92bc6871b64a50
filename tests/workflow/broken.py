"""Broken documents, one for each kind of problem, with what is said of each."""

from __future__ import annotations

BROKEN: dict[str, tuple[str, list[str]]] = {
    "no mapping": ("- a\n", ["1:1: The document must be a mapping."]),
    "empty": ("", ["1:1: The document must be a mapping."]),
    "no workflow": ("tasks: {a: {prompt: x}}\n", ["1:1: The workflow lacks the key 'workflow'."]),
    "no tasks": ("workflow: w\n", ["1:1: The workflow has no tasks."]),
    "tasks empty": ("workflow: w\ntasks: {}\n", ["2:8: The workflow has no tasks."]),
    "tasks text": ("workflow: w\ntasks: x\n", ["2:8: 'tasks' must be a mapping, not a text."]),
    "unknown top": (
        "workflow: w\ntitel: x\ntasks: {a: {prompt: x}}\n",
        ["2:1: There is no key 'titel' here. Did you mean 'title'?"],
    ),
    "bad id": (
        "workflow: My Flow\ntasks: {a: {prompt: x}}\n",
        ["1:11: 'My Flow' cannot be a name."],
    ),
    "id number": (
        "workflow: 5\ntasks: {a: {prompt: x}}\n",
        ["1:11: 'workflow' must be a text, not a number."],
    ),
    "version": (
        "workflow: w\nversion: 2\ntasks: {a: {prompt: x}}\n",
        ["2:10: 'version' cannot be 2."],
    ),
    "title": (
        "workflow: w\ntitle: [x]\ntasks: {a: {prompt: x}}\n",
        ["2:8: 'title' must be a text, not a list."],
    ),
    "strategy": (
        "workflow: w\nstrategy: paralel\ntasks: {a: {prompt: x}}\n",
        ["2:11: 'strategy' cannot be 'paralel'. Did you mean 'parallel'?"],
    ),
    "objective": (
        "workflow: w\nobjectives: [cheap]\ntasks: {a: {prompt: x}}\n",
        ["2:14: Item 1 of 'objectives' cannot be 'cheap'."],
    ),
    "objectives kind": (
        "workflow: w\nobjectives: 5\ntasks: {a: {prompt: x}}\n",
        ["2:13: 'objectives' must be a list or a mapping, not a number."],
    ),
    "weight": (
        "workflow: w\nobjectives: {balanced: -1}\ntasks: {a: {prompt: x}}\n",
        ["2:24: 'balanced' must be at least 0."],
    ),
    "limit key": (
        "workflow: w\nlimits: {costs: 1}\ntasks: {a: {prompt: x}}\n",
        ["2:10: There is no key 'costs' here. Did you mean 'cost'?"],
    ),
    "money": (
        "workflow: w\nlimits: {cost: cheap}\ntasks: {a: {prompt: x}}\n",
        ["2:16: 'cost' must be an amount of US dollars such as $0.50."],
    ),
    "duration": (
        "workflow: w\nlimits: {time: 10 minutes}\ntasks: {a: {prompt: x}}\n",
        ["2:16: 'time' must be a duration such as 90s, 500ms, 10m or 2d."],
    ),
    "negative": (
        "workflow: w\nlimits: {calls: -1}\ntasks: {a: {prompt: x}}\n",
        ["2:17: 'calls' must be at least 0."],
    ),
    "on_limit": (
        "workflow: w\nlimits: {on_limit: stop}\ntasks: {a: {prompt: x}}\n",
        ["2:20: 'on_limit' cannot be 'stop'."],
    ),
    "input type": (
        "workflow: w\ninputs: {x: txt}\ntasks: {a: {prompt: x}}\n",
        ["2:13: 'x' cannot be 'txt'. Did you mean 'text'?"],
    ),
    "input key": (
        "workflow: w\ninputs: {x: {type: text, defualt: a}}\ntasks: {a: {prompt: x}}\n",
        ["2:26: There is no key 'defualt' here. Did you mean 'default'?"],
    ),
    "input without type": (
        "workflow: w\ninputs: {x: {default: a}}\ntasks: {a: {prompt: x}}\n",
        ["2:10: 'x' lacks the key 'type'."],
    ),
    "input name": (
        "workflow: w\ninputs: {X: text}\ntasks: {a: {prompt: x}}\n",
        ["2:10: 'X' cannot be a name."],
    ),
    "input reserved": (
        "workflow: w\ninputs: {score: text}\ntasks: {a: {prompt: x}}\n",
        ["2:10: 'score' has a meaning of its own in expressions."],
    ),
    "default kind": (
        "workflow: w\ninputs: {x: {type: integer, default: a}}\ntasks: {a: {prompt: x}}\n",
        ["2:38: 'default' must be a whole number, not a text."],
    ),
    "default not in enum": (
        "workflow: w\ninputs: {x: {type: text, default: c, enum: [a, b]}}\ntasks: {a: {prompt: x}}\n",
        ["2:35: The default 'c' is not in 'enum'."],
    ),
    "enum kind": (
        "workflow: w\ninputs: {x: {type: text, enum: [a, 1]}}\ntasks: {a: {prompt: x}}\n",
        ["2:36: Item 2 of 'enum' must be a text, not a number."],
    ),
    "enum empty": (
        "workflow: w\ninputs: {x: {type: text, enum: []}}\ntasks: {a: {prompt: x}}\n",
        ["2:32: 'enum' must have at least 1 of them."],
    ),
    "file default": (
        "workflow: w\ninputs: {x: {type: file, default: a}}\ntasks: {a: {prompt: x}}\n",
        ["2:26: An input that is a file cannot have a default."],
    ),
    "output expr": (
        "workflow: w\ntasks: {a: {prompt: x}}\noutputs: {o: 'a.'}\n",
        ["3:14: {{ a. }} is not an expression."],
    ),
    "output name": (
        "workflow: w\ntasks: {a: {prompt: x}}\noutputs: {o: b.text}\n",
        ["3:14: There is no input or task 'b'."],
    ),
    "task name": (
        "workflow: w\ntasks:\n  My-Task: {prompt: x}\n",
        ["3:3: 'My-Task' cannot be a name."],
    ),
    "task reserved": (
        "workflow: w\ntasks:\n  items: {prompt: x}\n",
        ["3:3: 'items' has a meaning of its own in expressions."],
    ),
    "task and input": (
        "workflow: w\ninputs: {a: text}\ntasks:\n  a: {prompt: x}\n",
        ["4:3: 'a' is an input and a task."],
    ),
    "task text": ("workflow: w\ntasks:\n  a: hello\n", ["3:6: 'a' must be a mapping, not a text."]),
    "task unknown key": (
        "workflow: w\ntasks:\n  a: {promt: x}\n",
        ["3:3: Task 'a' has no verb.", "3:7: There is no key 'promt' here. Did you mean 'prompt'?"],
    ),
    "no verb": ("workflow: w\ntasks:\n  a: {title: x}\n", ["3:3: Task 'a' has no verb."]),
    "two verbs": (
        "workflow: w\ntasks:\n  a: {prompt: x, set: {y: '1'}}\n",
        ["3:18: Task 'a' has prompt and set."],
    ),
    "prompt kind": (
        "workflow: w\ntasks:\n  a: {prompt: [x]}\n",
        ["3:15: 'prompt' must be a text, not a list."],
    ),
    "prompt hole": (
        "workflow: w\ntasks:\n  a: {prompt: '{{ 1 + }}'}\n",
        ["3:15: Line 1 of the prompt: {{ 1 + }} is not an expression."],
    ),
    "prompt name": (
        "workflow: w\ntasks:\n  a: {prompt: '{{ nobody }}'}\n",
        ["3:15: There is no input or task 'nobody'."],
    ),
    "prompt self": (
        "workflow: w\ntasks:\n  a: {prompt: '{{ a.text }}'}\n",
        ["3:15: Task 'a' needs itself."],
    ),
    "unquoted hole": ("workflow: w\ntasks:\n  a: {{ x }}\n", ["3:7: A key must be a text."]),
    "field": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {findings: list}}\n  b: {prompt: '{{ a.findngs }}'}\n",
        ["4:15: Task 'a' has no field 'findngs'. Did you mean a.findings?"],
    ),
    "field none": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: '{{ a.findings }}'}\n",
        ["4:15: Task 'a' has no field 'findings'."],
    ),
    "function": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: '{{ lenn(a.text) }}'}\n",
        ["4:15: Line 1 of the prompt: There is no function 'lenn'."],
    ),
    "private": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: '{{ a.__class__ }}'}\n",
        [
            "4:15: Line 1 of the prompt: {{ a.__class__ }} has a field that begins with _ in it, unknown to expressions."
        ],
    ),
    "messages empty": (
        "workflow: w\ntasks:\n  a: {messages: []}\n",
        ["3:17: 'messages' must have at least 1 of them."],
    ),
    "message role": (
        "workflow: w\ntasks:\n  a: {messages: [{role: robot, content: x}]}\n",
        ["3:25: 'role' cannot be 'robot'."],
    ),
    "message content": (
        "workflow: w\ntasks:\n  a: {messages: [{role: user}]}\n",
        ["3:17: Item 1 of 'messages' lacks the key 'content'."],
    ),
    "python": (
        "workflow: w\ntasks:\n  a: {python: print}\n",
        ["3:15: 'python' must name a function as module:function."],
    ),
    "python kind": (
        "workflow: w\ntasks:\n  a: {python: 5}\n",
        ["3:15: 'python' must name a function as module:function."],
    ),
    "set kind": (
        "workflow: w\ntasks:\n  a: {set: {x: 1}}\n",
        ["3:16: 'x' must be a text, not a number."],
    ),
    "set empty": (
        "workflow: w\ntasks:\n  a: {set: {}}\n",
        ["3:12: 'set' must have at least 1 of them."],
    ),
    "approve without ask": (
        "workflow: w\ntasks:\n  a: {approve: {options: [x]}}\n",
        ["3:7: 'approve' lacks the key 'ask'."],
    ),
    "approve options": (
        "workflow: w\ntasks:\n  a: {approve: {ask: x, options: []}}\n",
        ["3:34: 'options' must have at least 1 of them."],
    ),
    "options twice": (
        "workflow: w\ntasks:\n  a: {approve: {ask: x, options: [x, y, x]}}\n",
        ["3:41: 'x' stands in 'options' twice."],
    ),
    "on_timeout option": (
        "workflow: w\ntasks:\n  a: {approve: {ask: x, timeout: 1h, on_timeout: yep, options: [yes, no]}}\n",
        ["3:50: 'yep' is not an option. Did you mean 'yes'?"],
    ),
    "on_timeout alone": (
        "workflow: w\ntasks:\n  a: {approve: {ask: x, on_timeout: yes}}\n",
        ["3:25: 'on_timeout' has no 'timeout' that could pass."],
    ),
    "reduce none": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {reduce: {from: a}}\n",
        ["4:15: 'reduce' has none of its keys."],
    ),
    "reduce both": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {reduce: {from: a, prompt: x, python: 'm:f'}}\n",
        ["4:15: 'reduce' has prompt and python."],
    ),
    "reduce from": (
        "workflow: w\ntasks:\n  a: {reduce: {from: z, prompt: x}}\n",
        ["3:22: There is no task 'z'."],
    ),
    "reduce batch": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {reduce: {from: a, prompt: x, batch: 1}}\n",
        ["4:43: 'batch' must be at least 2."],
    ),
    "needs unknown": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: x, needs: [aa]}\n",
        ["4:26: There is no task 'aa'. Did you mean 'a'?"],
    ),
    "needs twice": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: x, needs: [a, a]}\n",
        ["4:29: 'a' stands in 'needs' twice."],
    ),
    "needs self": (
        "workflow: w\ntasks:\n  a: {prompt: x, needs: [a]}\n",
        ["3:26: Task 'a' needs itself."],
    ),
    "needs text": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: x, needs: a}\n",
        ["4:25: 'needs' must be a list, not a text."],
    ),
    "needs item": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: x, needs: [1]}\n",
        ["4:26: Item 1 of 'needs' must be a text, not a number."],
    ),
    "circle": (
        "workflow: w\ntasks:\n  a: {prompt: '{{ c.text }}'}\n  b: {prompt: '{{ a.text }}'}\n  c: {prompt: '{{ b.text }}'}\n",
        ["4:15: The tasks wait for each other: a → b → c → a."],
    ),
    "when": (
        "workflow: w\ntasks:\n  a: {prompt: hi}\n  b: {prompt: x, when: 'a.text =='}\n",
        ["4:24: {{ a.text == }} is not an expression."],
    ),
    "else": (
        "workflow: w\ntasks:\n  a: {prompt: x, else: 5}\n",
        ["3:18: 'else' has no 'when' that could be false."],
    ),
    "join": (
        "workflow: w\ntasks:\n  a: {prompt: x, join: some}\n",
        ["3:24: 'join' cannot be 'some'."],
    ),
    "llm kind": (
        "workflow: w\ntasks:\n  a: {prompt: x, llm: 5}\n",
        ["3:23: 'llm' must be a text or a list, not a number."],
    ),
    "llm item": (
        "workflow: w\ntasks:\n  a: {prompt: x, llm: [a/b, 5]}\n",
        ["3:29: Item 2 of 'llm' must be a text, not a number."],
    ),
    "llm and route": (
        "workflow: w\ntasks:\n  a: {prompt: x, llm: a/b, route: c/d}\n",
        ["3:18: 'llm' and 'route' both name LLMs."],
    ),
    "route key": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {model: a}}\n",
        ["3:26: There is no key 'model' here. Did you mean 'models'?"],
    ),
    "min_quality": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {min_quality: 2}}\n",
        ["3:39: 'min_quality' must be at most 1."],
    ),
    "prefer": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {prefer: cheap}}\n",
        ["3:34: 'prefer' cannot be 'cheap'. Did you mean 'cheapest'?"],
    ),
    "cascade one": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {cascade: [a/b]}}\n",
        ["3:35: 'cascade' must have at least 2 of them."],
    ),
    "cascade none": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {policy: cascade}}\n",
        ["3:34: The policy 'cascade' has no LLMs to go through."],
    ),
    "accept alone": (
        "workflow: w\ntasks:\n  a: {prompt: x, route: {accept: out.x}}\n",
        ["3:26: 'accept' has no 'cascade' that it could end."],
    ),
    "params": (
        "workflow: w\ntasks:\n  a: {prompt: x, params: {temprature: 1}}\n",
        ["3:27: There is no key 'temprature' here. Did you mean 'temperature'?"],
    ),
    "max_tokens": (
        "workflow: w\ntasks:\n  a: {prompt: x, params: {max_tokens: 0}}\n",
        ["3:39: 'max_tokens' must be at least 1."],
    ),
    "temperature": (
        "workflow: w\ntasks:\n  a: {prompt: x, params: {temperature: hot}}\n",
        ["3:40: 'temperature' must be a number, not a text."],
    ),
    "flag": (
        "workflow: w\ntasks:\n  a: {prompt: x, retry: {jitter: 1}}\n",
        ["3:34: 'jitter' must be true or false, not a number."],
    ),
    "attempts": (
        "workflow: w\ntasks:\n  a: {prompt: x, retry: {attempts: 0}}\n",
        ["3:36: 'attempts' must be at least 1."],
    ),
    "cause": (
        "workflow: w\ntasks:\n  a: {prompt: x, retry: {for: [rate_limits]}}\n",
        ["3:32: Item 1 of 'for' cannot be 'rate_limits'. Did you mean 'rate_limit'?"],
    ),
    "attempts many": (
        "workflow: w\ntasks:\n  a: {prompt: x, retry: {attempts: 101}}\n",
        ["3:36: 'attempts' must be at most 100."],
    ),
    "rung none": (
        "workflow: w\ntasks:\n  a: {prompt: x, fallback: [{}]}\n",
        ["3:29: Item 1 of 'fallback' has none of its keys."],
    ),
    "rung two": (
        "workflow: w\ntasks:\n  a: {prompt: x, fallback: [{value: 1, prompt: x}]}\n",
        ["3:29: Item 1 of 'fallback' has prompt and value."],
    ),
    "rung word": (
        "workflow: w\ntasks:\n  a: {prompt: x, fallback: [skipp]}\n",
        ["3:29: Item 1 of 'fallback' must be a mapping, or one of the words skip and stored."],
    ),
    "check nothing": (
        "workflow: w\ntasks:\n  a: {prompt: x, checks: [{on_fail: warn}]}\n",
        ["3:27: Item 1 of 'checks' checks nothing."],
    ),
    "min alone": (
        "workflow: w\ntasks:\n  a: {prompt: x, checks: [{that: out, min: 0.5}]}\n",
        ["3:39: 'min' has no 'judge' whose score it could be."],
    ),
    "judge nothing": (
        "workflow: w\ntasks:\n  a: {prompt: x, checks: [{judge: {}}]}\n",
        ["3:35: 'judge' has none of its keys."],
    ),
    "judge two": (
        "workflow: w\ntasks:\n  a: {prompt: x, checks: [{judge: {rubric: x, that: out}}]}\n",
        ["3:35: 'judge' has that and rubric."],
    ),
    "check name": (
        "workflow: w\ntasks:\n  a: {prompt: x, checks: [{that: oot.x}]}\n",
        ["3:34: There is no input or task 'oot'. Did you mean 'out'?"],
    ),
    "refine until": (
        "workflow: w\ntasks:\n  a: {prompt: x, refine: {max: 3}}\n",
        ["3:18: 'refine' lacks the key 'until'."],
    ),
    "refine keep": (
        "workflow: w\ntasks:\n  a: {prompt: x, refine: {until: score > 1, keep: first}}\n",
        ["3:51: 'keep' cannot be 'first'."],
    ),
    "map over": (
        "workflow: w\ntasks:\n  a: {prompt: x, map: {as: f}}\n",
        ["3:18: 'map' lacks the key 'over'."],
    ),
    "map as": (
        "workflow: w\ntasks:\n  a: {prompt: x, map: {over: '[1]', as: score}}\n",
        ["3:41: 'score' has a meaning already."],
    ),
    "map item elsewhere": (
        "workflow: w\ntasks:\n  a: {prompt: '{{ f }}', map: {over: '[1]', as: f}}\n  b: {prompt: '{{ f }}'}\n",
        ["4:15: There is no input or task 'f'."],
    ),
    "map over item": (
        "workflow: w\ntasks:\n  a: {prompt: x, map: {over: item}}\n",
        ["3:30: There is no input or task 'item'."],
    ),
    "collaborate type": (
        "workflow: w\ntasks:\n  a: {prompt: x, collaborate: {type: councel}}\n",
        ["3:38: 'type' cannot be 'councel'."],
    ),
    "no type": (
        "workflow: w\ntasks:\n  a: {prompt: x, collaborate: {n: 3}}\n",
        ["3:18: 'collaborate' lacks the key 'type'."],
    ),
    "no experts": (
        "workflow: w\ntasks:\n  a: {prompt: x, collaborate: {type: expert}}\n",
        ["3:38: An expert consultation has no experts."],
    ),
    "experts": (
        "workflow: w\ntasks:\n  a: {prompt: x, collaborate: {type: vote, experts: {e: {role: x}}}}\n",
        ["3:44: 'experts' says nothing in a collaboration of type 'vote'."],
    ),
    "output on set": (
        "workflow: w\ntasks:\n  a: {set: {x: '1'}, output: {x: string}}\n",
        ["3:22: 'output' says nothing in a task with 'set'."],
    ),
    "system on python": (
        "workflow: w\ntasks:\n  a: {python: 'm:f', system: x}\n",
        ["3:22: 'system' says nothing in a task with 'python'."],
    ),
    "with on prompt": (
        "workflow: w\ntasks:\n  a: {prompt: x, with: {y: 1}}\n",
        ["3:18: 'with' says nothing in a task with 'prompt'."],
    ),
    "retry on set": (
        "workflow: w\ntasks:\n  a: {set: {x: '1'}, retry: {attempts: 2}}\n",
        ["3:22: 'retry' says nothing in a task with 'set'."],
    ),
    "timeout on approve": (
        "workflow: w\ntasks:\n  a: {approve: {ask: x}, timeout: 5s}\n",
        ["3:26: 'timeout' says nothing in a task with 'approve'."],
    ),
    "output type": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {y: strin}}\n",
        ["3:30: 'strin' is not a type. Did you mean 'string'?"],
    ),
    "output value": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {y: 5}}\n",
        ["3:30: 'y' is not a form of output."],
    ),
    "output list": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {y: [string, integer]}}\n",
        ["3:30: 'y' is not a form of output."],
    ),
    "output empty": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {}}\n",
        ["3:26: An output has no fields."],
    ),
    "output ref": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {type: object, $ref: 'http://x'}}\n",
        ["3:41: An output cannot use the keyword '$ref'."],
    ),
    "output keyword": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {type: object, requird: [y]}}\n",
        ["3:41: An output cannot use the keyword 'requird'. Did you mean 'required'?"],
    ),
    "output required": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {type: object, required: y}}\n",
        ["3:51: 'required' must be a list, not a text."],
    ),
    "output minimum": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {y: {type: integer, minimum: low}}}\n",
        ["3:55: 'minimum' must be a number, not a text."],
    ),
    "output pattern": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: {y: {type: string, pattern: '(a+)+'}}}\n",
        ["3:45: An output cannot use the keyword 'pattern'."],
    ),
    "output kind": (
        "workflow: w\ntasks:\n  a: {prompt: x, output: text}\n",
        ["3:26: 'output' must be a mapping, not a text."],
    ),
    "priority": (
        "workflow: w\ntasks:\n  a: {prompt: x, priority: urgent}\n",
        ["3:28: 'priority' cannot be 'urgent'."],
    ),
    "cache": (
        "workflow: w\ntasks:\n  a: {prompt: x, cache: never}\n",
        ["3:25: 'cache' cannot be 'never'."],
    ),
    "checkpoint": (
        "workflow: w\ntasks:\n  a: {prompt: x, checkpoint: [{at: end}]}\n",
        ["3:30: Item 1 of 'checkpoint' lacks the key 'that'."],
    ),
    "metadata": (
        "workflow: w\ntasks:\n  a: {prompt: x, metadata: 5}\n",
        ["3:28: 'metadata' must be a mapping, not a number."],
    ),
    "timeout": (
        "workflow: w\ntasks:\n  a: {prompt: x, timeout: -5}\n",
        ["3:27: 'timeout' must be a duration such as 90s, 500ms, 10m or 2d."],
    ),
    "empty title": (
        "workflow: w\ntasks:\n  a: {prompt: x, title: }\n",
        ["3:18: 'title' must be a text, not empty."],
    ),
    "tab": ("workflow: w\ntasks:\n\ta: 1\n", ["3:1: A tab stands where only blanks may."]),
    "quote": ('workflow: "w\ntasks: {}\n', ["1:11: A quoted text is not closed."]),
    "colon": ("workflow: w\ntitle: a: b\n", ["2:9: A colon cannot stand here."]),
    "flow list": (
        "workflow: w\nobjectives: [a\ntasks: {}\n",
        ["2:13: A list that begins with [ is not closed, or lacks a comma."],
    ),
    "flow map": (
        "workflow: w\nlimits: {cost: 1\ntasks: {}\n",
        ["2:9: A mapping that begins with { is not closed, or lacks a comma."],
    ),
    "at": ("workflow: w\ntitle: @x\n", ["2:8: A text cannot begin with this sign."]),
    "key colon": ("workflow: w\ntasks\n", ["2:1: A key lacks its colon."]),
    "indent": ("workflow: w\n  title: x\n", ["2:8: A colon cannot stand here."]),
    "indent2": ("tasks:\n  a: 1\n b: 2\n", ["3:2: This line does not fit those above it."]),
    "twice": ("workflow: w\nworkflow: v\n", ["2:1: The key 'workflow' stands here twice."]),
    "number key": ("workflow: w\n1: x\n", ["2:1: The key '1' is not a text."]),
    "true key": ("workflow: w\ntrue: x\n", ["2:1: The key 'true' is not a text."]),
    "merge": ("workflow: w\n<<: {a: 1}\n", ["2:1: A merge key (<<) cannot stand here."]),
    "anchor": ("workflow: &a w\n", ["1:11: An anchor (&) cannot stand here."]),
    "alias": ("workflow: *a\n", ["1:11: An alias (*) cannot stand here."]),
    "tag": (
        "workflow: !!python/object:os.system w\n",
        ["1:11: A tag (tag:yaml.org,2002:python/object:os.system) cannot stand here."],
    ),
    "directive": ("%YAML 1.1\n---\nworkflow: w\n", ["2:1: A % directive cannot stand here."]),
    "second": ("workflow: w\n---\nworkflow: v\n", ["2:1: There is a second document."]),
    "inf": ("workflow: w\nlimits: {cost: .inf}\n", ["2:16: .inf is not a finite number."]),
    "digits": (
        "workflow: w\nlimits: {calls: 9999999999999999999999999999999999999999}\n",
        ["2:17: A number has more than 30 digits."],
    ),
    "control": (
        "workflow: w\ntitle: \x01\n",
        ["2:8: The character U+0001 cannot stand in a document."],
    ),
    "list key": ("workflow: w\n[a]: b\n", ["2:1: A key must be a text."]),
    "escape": (
        'workflow: "\\q"\n',
        [
            "1:13: This is not YAML: while scanning a double-quoted scalar found unknown escape character 'q'."
        ],
    ),
}
"""A document by the name of its problem: its text, and each sentence with line and column."""
