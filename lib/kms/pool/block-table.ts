import type { BlockState } from '../../interface/pool-store.ts'

/**
 * The life of a block between the two KMSs of a pair, in one table. The owner issues from the block, the retriever
 * serves what the owner issued. Every durable move of a block takes its states from here, so that code, documentation
 * and model can't drift apart. Row numbers are the ones that telemetry and ARCHITECTURE.md use; what a row writes is
 * durable before what it sends.
 */

export type Role = 'owner' | 'retriever' | 'either'
/** `none`: no record of the block. */
export type TableState = BlockState | 'none'

/** One row: who, in which state, on which event, goes where. */
export interface TableRow {
  readonly row: number
  readonly role: Role
  readonly from: readonly TableState[]
  readonly event: string
  readonly to: TableState
  /** Message that follows, if any. */
  readonly sends: string
}

const rows = [
  { row: 2, role: 'either', from: ['none'], event: 'block from the QNL', to: 'received', sends: 'tag' },
  { row: 3, role: 'retriever', from: ['received'], event: 'tag, equal', to: 'ready', sends: 'ready' },
  { row: 5, role: 'either', from: ['received'], event: 'tag or ready, different', to: 'dropped', sends: 'drop' },
  { row: 6, role: 'owner', from: ['received'], event: 'ready, equal', to: 'active', sends: '' },
  { row: 7, role: 'either', from: ['received'], event: 'verify time-out', to: 'dropped', sends: 'drop' },
  { row: 8, role: 'retriever', from: ['ready', 'received', 'none'], event: 'drop', to: 'dropped', sends: 'dropOk' },
  { row: 9, role: 'owner', from: ['active'], event: 'few cells left under lease', to: 'active', sends: 'lease' },
  { row: 10, role: 'retriever', from: ['ready'], event: 'lease', to: 'ready', sends: 'leaseOk' },
  { row: 15, role: 'owner', from: ['active'], event: 'lease near its deadline', to: 'active', sends: 'renew' },
  { row: 16, role: 'retriever', from: ['ready'], event: 'retrieve', to: 'ready', sends: '' },
  { row: 17, role: 'retriever', from: ['ready'], event: 'cells expire', to: 'ready', sends: '' },
  { row: 18, role: 'retriever', from: ['ready'], event: 'all cells consumed', to: 'drained', sends: '' },
  { row: 19, role: 'owner', from: ['active'], event: 'all cells given or burned', to: 'drained', sends: 'finished' },
  { row: 20, role: 'owner', from: ['active'], event: 'surplus, or asked for', to: 'ready', sends: 'grant' },
  { row: 21, role: 'retriever', from: ['ready'], event: 'grant', to: 'active', sends: 'grantOk' },
  { row: 25, role: 'owner', from: ['active'], event: 'the peer forgot', to: 'active', sends: 'state' },
  {
    row: 26,
    role: 'either',
    from: ['none', 'received', 'ready', 'active'],
    event: 'forgot, not verified at both',
    to: 'dropped',
    sends: 'drop',
  },
  { row: 26, role: 'either', from: ['ready', 'active'], event: 'forgot, the peer owns it', to: 'ready', sends: '' },
  { row: 26, role: 'either', from: ['ready', 'active'], event: 'forgot, it is our own', to: 'active', sends: '' },
  { row: 27, role: 'either', from: ['received', 'ready', 'active'], event: 'reset', to: 'none', sends: '' },
  {
    row: 29,
    role: 'owner',
    from: ['active', 'received'],
    event: 'drop, or lease refused as absent',
    to: 'dropped',
    sends: 'dropOk',
  },
  { row: 30, role: 'either', from: ['none'], event: 'virtual block opened', to: 'received', sends: 'open' },
] as const satisfies readonly TableRow[]

export const BLOCK_TABLE: readonly TableRow[] = rows
/** The numbers of the rows. */
export type RowNumber = (typeof rows)[number]['row']

const byNumber = new Map<number, TableRow>([...rows].reverse().map(row => [row.row, row]))

/** The row of that number; of 26, which has several, the first. */
export function tableRow(row: RowNumber): TableRow {
  return byNumber.get(row)!
}
