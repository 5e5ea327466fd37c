import { expect } from 'chai'
import type { Change, CommitResult } from '../../../lib/interface/pool-store.ts'
import { CommitGroup } from '../../../lib/kms/pool/commit-group.ts'

const note = (name: string): Change => ({ kind: 'note', name, from: 0, value: new Uint8Array(1) })
const names = (changes: readonly Change[]) => changes.map(change => (change as { name: string }).name)

/** A store of names that takes each one once. */
function openStore() {
  const commits: string[][] = []
  const taken = new Set<string>()
  const commit = async (changes: readonly Change[]): Promise<CommitResult> => {
    commits.push(names(changes))
    const at = names(changes).findIndex((name, index) => taken.has(name) || names(changes).indexOf(name) < index)
    if (at !== -1) return { ok: false, refusal: 'note-changed', change: at }
    for (const name of names(changes)) taken.add(name)
    return { ok: true, pool: {} as never, blocks: new Map(), notes: new Map() }
  }
  return { commits, commit }
}

describe('CommitGroup', () => {
  it('puts what comes in one turn into one commit', async () => {
    const { commits, commit } = openStore()
    const group = new CommitGroup(commit)
    const results = await Promise.all([group.commit([note('a')]), group.commit([note('b'), note('c')])])
    expect(results.map(({ ok }) => ok)).to.deep.equal([true, true])
    expect(commits).to.deep.equal([['a', 'b', 'c']])
    expect((await group.commit([note('d')])).ok).to.equal(true)
    expect(commits[1]).to.deep.equal(['d'])
  })

  it('refuses nobody for what another asked', async () => {
    const { commit } = openStore()
    const group = new CommitGroup(commit)
    await group.commit([note('a')])
    const asked = [['b'], ['a', 'c'], ['d'], ['d', 'e'], ['f']].map(list => group.commit(list.map(note)))
    const results = await Promise.all(asked)
    expect(results.map(({ ok }) => ok)).to.deep.equal([true, false, true, false, true])
  })

  it('fails everybody whose commit failed, and goes on', async () => {
    let isBroken = true
    const store = openStore()
    const group = new CommitGroup(changes => (isBroken ? Promise.reject(new Error('disk')) : store.commit(changes)))
    const outcomes = await Promise.allSettled([group.commit([note('a')]), group.commit([note('b')])])
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    isBroken = false
    expect((await group.commit([note('a')])).ok).to.equal(true)
  })
})
