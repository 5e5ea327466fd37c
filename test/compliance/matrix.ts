/** What each backend did with each case of its contract's suite: the matrix that a test run prints. */
export type Cell = 'passed' | 'failed' | { skipped: string }

class ComplianceMatrix {
  readonly #contracts = new Map<string, Map<string, Map<string, Cell>>>()

  record(contract: string, backend: string, name: string, cell: Cell): void {
    const cases = this.#contracts.get(contract) ?? new Map<string, Map<string, Cell>>()
    this.#contracts.set(contract, cases)
    const row = cases.get(name) ?? new Map<string, Cell>()
    cases.set(name, row)
    row.set(backend, cell)
  }

  /** One table a contract: a row a case, a column a backend; reasons of skipped cells below it. Empty without runs. */
  toTable(): string {
    const lines: string[] = []
    for (const [contract, cases] of this.#contracts) {
      const backends = [...new Set([...cases.values()].flatMap(row => [...row.keys()]))]
      const widthChars = Math.max(...[...cases.keys()].map(name => name.length), contract.length + 12)
      lines.push(`${`Compliance: ${contract}`.padEnd(widthChars)}  ${backends.join(' | ')}`)
      const reasons: string[] = []
      for (const [name, row] of cases) {
        const marks = backends.map(backend => {
          const cell = row.get(backend)
          if (typeof cell === 'object') reasons.push(`  skipped: ${backend}: ${name}: ${cell.skipped}`)
          const mark = cell === 'passed' ? 'ok' : cell === 'failed' ? 'FAILED' : cell === undefined ? '?' : 'skip'
          return mark.padEnd(backend.length)
        })
        lines.push(`${name.padEnd(widthChars)}  ${marks.join(' | ')}`.trimEnd())
      }
      lines.push(...reasons, '')
    }
    return lines.join('\n').trimEnd()
  }
}

/** The matrix of this process. */
export const compliance = new ComplianceMatrix()
