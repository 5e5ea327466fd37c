import { expect } from 'chai'
import type { AuditEntry } from '../../lib/interface/audit.ts'
import type { OperatorCallName, OperatorIdentity, OperatorRole } from '../../lib/interface/operator.ts'
import { OperatorDesk } from '../../lib/operators/operator-desk.ts'
import { permissions } from '../../lib/operators/permissions.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

const ROLES: readonly OperatorRole[] = ['operator', 'auditor', 'enroller', 'security-officer']
const NAMES = Object.keys(permissions) as OperatorCallName[]
const signal = new AbortController().signal

const who = (...roles: OperatorRole[]): OperatorIdentity => ({ name: 'olga', roles, by: 'certificate' })

/** A desk with every call that there is; each notes that it was made. */
function createDesk({ audit = true }: { audit?: boolean | AuditEntry['event'] } = {}) {
  const written: AuditEntry[] = []
  const made: string[] = []
  const record = async (entry: AuditEntry) => {
    if (audit !== true) throw new Error('the disk is full')
    written.push(entry)
  }
  const desk = new OperatorDesk({ audit: { record }, logger: debugLogger('test'), monotonicMs: () => 0 })
  for (const name of NAMES) {
    desk.register({
      name,
      schema: { type: 'object', properties: { id: { type: 'string' } }, additionalProperties: false },
      run: async () => {
        made.push(name)
        return written.length
      },
    })
  }
  return { desk, written, made }
}

describe('OperatorDesk', () => {
  for (const name of NAMES) {
    it(`lets ${permissions[name].roles.join(', ')} and nobody else make ${name}, and writes down each try`, async () => {
      const { desk, written, made } = createDesk()
      for (const role of ROLES) {
        const isAllowed = permissions[name].roles.includes(role)
        const call = desk.perform(name, { id: 'x' }, { operator: who(role), signal })
        if (isAllowed) await call
        else await rejectsWith(call, 'ERR_QKD_UNAUTHORIZED')
        const { event, outcome, call: written_, operator, arguments: args } = written.at(-1)!
        expect({ event, outcome, call: written_, operator, args }).to.deep.equal({
          event: 'operator',
          outcome: isAllowed ? 'allowed' : 'ERR_QKD_UNAUTHORIZED',
          call: name,
          operator: who(role),
          args: { id: 'x' },
        })
      }
      expect(written).to.have.length(ROLES.length)
      expect(made).to.have.length(permissions[name].roles.length)
    })
  }

  it('refuses every call to somebody without a role, and gives the sum of several roles', async () => {
    const { desk, made, written } = createDesk()
    for (const name of NAMES)
      await rejectsWith(desk.perform(name, {}, { operator: who(), signal }), 'ERR_QKD_UNAUTHORIZED')
    expect(made).to.deep.equal([])
    expect(written).to.have.length(NAMES.length)
    for (const name of ['alarm-acknowledge', 'audit-head'])
      await desk.perform(name, {}, { operator: who('operator', 'auditor'), signal })
    expect(made).to.have.length(2)
  })

  it('lets an auditor change nothing, and nobody but a security officer what protects keys', () => {
    for (const { roles, changes } of Object.values(permissions)) if (changes) expect(roles).to.not.include('auditor')
    for (const name of [
      'policy-reload',
      'store-rekey',
      'incident-hold',
      'incident-invalidate',
      'incident-release',
    ] as const)
      expect(permissions[name].roles).to.deep.equal(['security-officer'])
  })

  it('writes a call down before it is made, and makes none that cannot be written', async () => {
    const { desk } = createDesk()
    expect(await desk.perform('status', {}, { operator: who('auditor'), signal })).to.equal(1)
    const blocked = createDesk({ audit: false })
    const error = await blocked.desk
      .perform('status', {}, { operator: who('auditor'), signal })
      .catch((cause: Error) => cause)
    expect(error).to.be.instanceOf(Error)
    expect(blocked.made).to.deep.equal([])
  })

  it('writes down what it refuses for other reasons, and what fails', async () => {
    const { desk, written } = createDesk()
    const operator = who('operator')
    await rejectsWith(desk.perform('no-such-call', {}, { operator, signal }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(desk.perform('constructor', {}, { operator, signal }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(desk.perform('status', { other: 1 }, { operator, signal }), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(desk.perform('status', undefined, { operator, signal }), 'ERR_QKD_INVALID_ARGUMENT')
    expect(written.map(({ outcome }) => outcome)).to.deep.equal(Array(4).fill('ERR_QKD_INVALID_ARGUMENT'))
    const empty = new OperatorDesk({
      audit: { record: async entry => void written.push(entry) },
      logger: debugLogger('test'),
    })
    await rejectsWith(empty.perform('status', {}, { operator, signal }), 'ERR_QKD_INVALID_ARGUMENT')
    empty.register({
      name: 'status',
      schema: { type: 'object' },
      run: async () => {
        throw new RangeError('broken')
      },
    })
    await empty.perform('status', {}, { operator, signal }).catch(() => {})
    expect(written.slice(-2).map(({ outcome }) => outcome)).to.deep.equal(['allowed', 'FAILED'])
  })

  it('repeats no large arguments, and does not fill the disk for one who is refused', async () => {
    const { desk, written } = createDesk()
    await desk.perform('status', { id: 'x'.repeat(10_000) }, { operator: who('auditor'), signal })
    expect(written[0]!.arguments).to.deep.equal({ characters: 10_009 })
    for (let n = 0; n < 2_000; n += 1)
      await desk.perform('store-rekey', {}, { operator: who(), signal }).catch(() => {})
    expect(written).to.have.length(601)
  })
})
