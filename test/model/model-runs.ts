import type { Defines } from './spin.ts'

/** What the model checks, by the bit that switches it on (`records.pml`). */
export const CHECKS = { twice: 1, bothEnds: 2, same: 4, live: 8, oneOwner: 16, noticed: 32 } as const
export type CheckName = keyof typeof CHECKS

/** One version of the model. */
export interface ModelRun {
  readonly name: string
  readonly defines: Defines
}

/** A version that must fail, by this check alone. */
export interface MutantRun extends ModelRun {
  readonly fails: CheckName
}

const ALL_BUT_NOTICED = CHECKS.twice | CHECKS.bothEnds | CHECKS.same | CHECKS.live | CHECKS.oneOwner

/** Both sites have their commit numbers outside the store, so that one can be the other's witness. */
const vouched = { CRASHES: 1, GRANTS: 0, MARKS: true as const, CHECKS: ALL_BUT_NOTICED }
/** Nothing is ever lost, the QNL is not to be trusted. */
const crashes = { CRASHES: 1, GRANTS: 1, OFFERS: 2, BYTES: 2 }
/** A store is put back, once. */
const oneRestore = { CRASHES: 1, GRANTS: 0 }
/** The block is one that the two sites make themselves. */
const ofSecret = { CRASHES: 1, GRANTS: 0, OFFERS: 2, VIRTUAL: 1 }
const ofSeed = { ...ofSecret, VIRTUAL: 2 }
const bothRestores = { CRASHES: 0, GRANTS: 0, CELLS: 1, RESTORES: 3 }

/** Versions in which every check holds in every state. */
export const soundRuns: readonly ModelRun[] = [
  {
    name: 'two restarts of each site, a block that is granted and granted back, a QNL that repeats and alters it',
    defines: { ...crashes, CRASHES: 2, GRANTS: 2 },
  },
  { name: 'the same with three cells', defines: { ...crashes, CELLS: 3 } },
  { name: "the store of the block's owner put back", defines: { CRASHES: 1, GRANTS: 0, RESTORES: 1 } },
  { name: 'the store of its retriever put back', defines: { CRASHES: 1, GRANTS: 0, RESTORES: 2 } },
  { name: 'the same of a block that changes hands', defines: { CRASHES: 0, GRANTS: 1, RESTORES: 2 } },
  { name: 'both stores put back', defines: { ...bothRestores, CHECKS: ALL_BUT_NOTICED } },
  {
    name: 'the store of an owner put back without anybody noticing: harmless by R1 to R3',
    defines: { ...oneRestore, RESTORES: 1, UNNOTICED: true, CHECKS: ALL_BUT_NOTICED },
  },
  { name: 'a block made of the secret, opened again and again', defines: { ...ofSecret, CRASHES: 2 } },
  { name: 'a block made of a seed that could be a key', defines: { ...ofSeed, CRASHES: 2 } },
  { name: 'the same, the store of its owner put back', defines: { ...ofSeed, RESTORES: 1 } },
  { name: 'the same, the store of its retriever put back', defines: { ...ofSeed, RESTORES: 2 } },
  {
    name: 'a block made of the secret whose owner is put back without anybody noticing, and opens its number again',
    defines: { ...ofSecret, RESTORES: 1, UNNOTICED: true, CHECKS: ALL_BUT_NOTICED },
  },
  { name: "RESYNC after the store of the block's owner was put back", defines: { ...vouched, RESTORES: 1 } },
  { name: 'RESYNC after the store of its retriever was put back', defines: { ...vouched, RESTORES: 2 } },
  {
    name: 'RESYNC of a block that changes hands, the store of its first owner put back',
    defines: { ...vouched, CRASHES: 0, GRANTS: 2, RESTORES: 1 },
  },
  {
    name: 'RESYNC of a block that changes hands, the store of its first retriever put back',
    defines: { ...vouched, CRASHES: 0, GRANTS: 1, RESTORES: 2 },
  },
  {
    name: 'RESYNC of one after the other, and both begin anew where both were put back',
    defines: { ...bothRestores, MARKS: true, CHECKS: ALL_BUT_NOTICED },
  },
]

/** One rule less each. */
export const mutants: readonly MutantRun[] = [
  { name: 'R1: keys leave before the peer has the lease', fails: 'live', defines: { ...crashes, NO_R1: true } },
  {
    name: 'R1: the same, and the store put back',
    fails: 'twice',
    defines: { ...oneRestore, RESTORES: 1, UNNOTICED: true, NO_R1: true },
  },
  { name: 'R2: any acknowledgement of a range counts', fails: 'twice', defines: { ...crashes, NO_R2: true } },
  {
    name: 'R3: an unused lease lives on after a restart',
    fails: 'twice',
    defines: { ...oneRestore, RESTORES: 1, NO_R3: true },
  },
  {
    name: 'R4: keys are delivered before the peer was met',
    fails: 'twice',
    defines: { ...oneRestore, RESTORES: 2, NO_R4: true },
  },
  {
    name: 'R4: a process writes before the peer was met, and hides how old its store is',
    fails: 'noticed',
    defines: { ...oneRestore, RESTORES: 1, NO_R4_QUIET: true },
  },
  {
    name: 'R4: the peer goes on with its leases, whose keys are refused',
    fails: 'live',
    defines: { ...vouched, RESTORES: 2, NO_R4_BURN: true },
  },
  {
    name: 'R4: what the peer burned unissued counts as free',
    fails: 'live',
    defines: { ...vouched, RESTORES: 1, NO_R4_TOUCHED: true },
  },
  {
    name: "R4: the peer's blocks keep their bits",
    fails: 'twice',
    defines: { ...vouched, RESTORES: 2, NO_R4_BITS: true },
  },
  {
    name: "R4: the peer's leases are not remembered as acknowledged, and it is put back in its turn",
    fails: 'twice',
    defines: { ...bothRestores, MARKS: true, NO_R4_HORIZON: true, NO_R4_TOUCHED: true },
  },
  {
    name: 'R4: ownership stays with the lower grant',
    fails: 'oneOwner',
    defines: { ...vouched, CRASHES: 0, GRANTS: 1, RESTORES: 1, NO_R4_OWNER: true },
  },
  {
    name: 'R5: each of two that were rolled back takes the other as witness',
    fails: 'twice',
    defines: { ...bothRestores, MARKS: true, NO_R5: true },
  },
  {
    name: 'R5: one takes a witness that does not know whether it was put back itself',
    fails: 'twice',
    defines: { ...bothRestores, NO_R5_VOUCHED: true },
  },
  {
    name: 'R6: nobody compares commit numbers',
    fails: 'twice',
    defines: { ...oneRestore, RESTORES: 2, NO_R6: true },
  },
  {
    name: 'R6: a crash makes the peer forget what it heard',
    fails: 'noticed',
    defines: { ...oneRestore, RESTORES: 1, NO_R6_DURABLE: true },
  },
  // That each side becomes active on the other's tag is no mutant here: a lease needs a ready retriever anyway (R1).
  { name: 'R7: the retriever drops a ready block alone', fails: 'live', defines: { ...crashes, NO_R7: true } },
  { name: 'R8: a block in use is granted', fails: 'bothEnds', defines: { ...crashes, NO_R8_UNUSED: true } },
  {
    name: 'R8: grants have no numbers',
    fails: 'oneOwner',
    defines: { ...crashes, GRANTS: 2, NO_R8_NUMBERS: true },
  },
  {
    name: 'R8: the giver keeps the block until the answer',
    fails: 'oneOwner',
    defines: { ...crashes, NO_R8_RELEASE: true },
  },
  { name: 'R11: absence at the peer erases', fails: 'live', defines: { ...crashes, NO_R11: true } },
  {
    name: 'R11: what was said in the time that a store forgot arrives after all',
    fails: 'live',
    defines: { ...vouched, RESTORES: 1, NO_R11_SESSIONS: true },
  },
  { name: 'R12: a number may come again', fails: 'twice', defines: { ...crashes, NO_R12: true } },
  {
    name: 'R12: a virtual block may be opened under a number that was spent',
    fails: 'twice',
    defines: { ...ofSecret, NO_R12_OPEN: true },
  },
  {
    name: "R14: the seed stays in the owner's book",
    fails: 'twice',
    defines: { ...ofSeed, NO_R14_SEED: true },
  },
  {
    name: "R14: the retriever leaves the seed's bit clear, and its peer issues it too",
    fails: 'live',
    defines: { ...ofSeed, NO_R14_SEED: true, NO_R14_BIT: true },
  },
  { name: 'row 3: tags are not compared', fails: 'same', defines: { ...crashes, UNCOMPARED: true } },
  { name: 'row 16: the answer before the commit', fails: 'twice', defines: { ...crashes, ANSWER_FIRST: true } },
]

/** What two sites cannot see by what each heard of the other: it must be known from elsewhere. */
export const knownGaps: readonly MutantRun[] = [
  {
    name: "a retriever's store put back that the peer never heard beyond",
    fails: 'twice',
    defines: { ...oneRestore, CRASHES: 0, RESTORES: 2, UNNOTICED: true },
  },
  {
    name: 'both stores put back to copies that agree with each other',
    fails: 'twice',
    defines: { ...bothRestores, UNNOTICED: true },
  },
]
