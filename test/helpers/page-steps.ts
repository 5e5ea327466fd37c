/** One block of a page, as a reader takes it. */
export interface PageStep {
  /** `run`: typed into the shell. `serve`: typed into a terminal of its own, where it stays. `shows`: what the block before prints. */
  readonly kind: 'run' | 'serve' | 'shows'
  readonly text: string
  /** Line of the page at which the block begins. */
  readonly line: number
}

/** What stands before a block that goes on while the reader does. */
const OWN_TERMINAL = /in a terminal of its own\b[^\n]*:\s*$/i

/** The `sh` and `text` blocks of a page in order, without those of sections called "Install" and "Clean up". */
export function pageSteps(page: string): PageStep[] {
  const steps: PageStep[] = []
  for (const match of page.matchAll(/^([ ]*)```(sh|text)\n([\s\S]*?)^\1```$/gm)) {
    const [, indent = '', language, body = ''] = match
    const before = page.slice(0, match.index)
    const heading = [...before.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? ''
    if (/^(install|clean up)/i.test(heading)) continue
    const paragraph =
      before
        .trimEnd()
        .split(/\n\s*\n/)
        .at(-1) ?? ''
    const kind = language === 'text' ? 'shows' : OWN_TERMINAL.test(paragraph) ? 'serve' : 'run'
    const text = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
    steps.push({ kind, text, line: before.split('\n').length })
  }
  return steps
}

/**
 * The first line of `shown` that is not in `printed`; undefined where all are. A number or key_ID in the page stands for any, and …
 * for any text.
 */
export function shownFault(shown: string, printed: string): string | undefined {
  const lines = printed.split('\n')
  return shown
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && line !== '…')
    .find(line => !lines.some(each => lineOf(line).test(each)))
}

/** What may differ from one run to the next. Of ports and addresses every digit counts, of what stands alone it does not. */
const VARIES = /([0-9a-f]{8}(?:-[0-9a-f]{4,12}){4})|(…)|(\s+)|((?<![\w.:-])\d[\d,.]*(?![\w.:]))/

function lineOf(shown: string): RegExp {
  const patterns = ['[0-9a-f-]{36}', '.*', '\\s+', '[\\d,.]+']
  const parts = shown.split(VARIES).map((part, at) => {
    if (part === undefined) return ''
    const place = at % (patterns.length + 1)
    return place === 0 ? part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&') : patterns[place - 1]
  })
  return new RegExp(parts.join(''))
}
