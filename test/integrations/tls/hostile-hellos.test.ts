import { expect } from 'chai'
import { tryHelloSockets } from '../../helpers/hello-socket-trial.ts'
import { tryHellos } from '../../helpers/hello-trial.ts'

/** `npm run soak -- hellos hello-sockets` has a million and twenty thousand. */
const [IN_PROCESS, OVER_SOCKETS] = [20_000, 400]

describe('mutated ClientHellos', () => {
  it(`are refused or sound, ${IN_PROCESS} of them, through every branch of the parser`, async () => {
    const trial = await tryHellos({ count: IN_PROCESS, seed: 1 })
    expect(trial.reachedExtensions).to.be.above(IN_PROCESS * 0.3)
    expect(trial.parsed).to.be.above(IN_PROCESS * 0.2)
    expect(trial.withKey).to.be.above(IN_PROCESS * 0.05)
    for (const [name, { missed }] of trial.coverage) expect(missed, name).to.be.empty
  })

  it(`end, ${OVER_SOCKETS} of them over sockets, and leave nothing behind`, async () => {
    const { answers, ...left } = await tryHelloSockets({ count: OVER_SOCKETS, seed: 1 })
    expect(left).to.include({ refusals: OVER_SOCKETS, sessions: 0, pending: 0, openSockets: 0 })
    expect([...answers.keys()]).to.include.members(['alert 50', 'alert 51', 'handshake', 'closed'])
  })
})
