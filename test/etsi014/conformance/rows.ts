import type { ComplianceCase } from '../../compliance/suite.ts'

/** Rows of the checklist, each named by its number and what it says. */
export type Rows<T> = Readonly<Record<string, (fixture: T) => Promise<void>>>

/** The rows as cases of a suite, in order of their numbers. */
export function casesOf<T>(rows: Rows<T>): ComplianceCase<T>[] {
  return Object.entries(rows)
    .sort(([a], [b]) => numberOf(a) - numberOf(b))
    .map(([name, run]): ComplianceCase<T> => [`row ${name}`, run])
}

/** The number that a row's name begins with. */
export function numberOf(name: string): number {
  return Number.parseInt(name, 10)
}
