// Differences between two texts, word by word: the same as bmad_nb/render/diff.py says it.

const WORDS = 250;

export const SHARED = 0.4;

function bare(word) {
  return word.replace(/^[.,;:!?"'()[\]]+|[.,;:!?"'()[\]]+$/g, "") || word;
}

// Returns how alike two texts are, and the stretches that both or one of them has. Only the first
// 250 words of each are looked at: the time grows with the product of their lengths.
export function changes(baseline, answer) {
  const old = (baseline.match(/\S+/g) ?? []).slice(0, WORDS);
  const now = (answer.match(/\S+/g) ?? []).slice(0, WORDS);
  const left = old.map(bare);
  const right = now.map(bare);
  const length = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      length[i][j] = left[i] === right[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const pieces = [];
  const put = (kind, word) => {
    const last = pieces.at(-1);
    if (last?.kind === kind) last.text += ` ${word}`;
    else pieces.push({ kind, text: word });
  };
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      put("same", now[j]);
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && length[i + 1][j] >= length[i][j + 1])) {
      put("out", old[i]);
      i += 1;
    } else {
      put("added", now[j]);
      j += 1;
    }
  }
  const all = left.length + right.length;
  return { similarity: all ? (2 * length[0][0]) / all : 1, pieces };
}
