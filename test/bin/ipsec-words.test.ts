import { expect } from 'chai'
import { describeAgent, describeAgentEvent } from '../../bin/ipsec-words.ts'
import type { IpsecAgentStatus, IpsecConnectionStatus } from '../../integrations/strongswan/index.ts'

const NOW_MS = 1_000_000_000

const connection: IpsecConnectionStatus = {
  name: 'net',
  peer: 'bob',
  mode: 'ppk',
  role: 'initiator',
  state: 'idle',
  peerConnected: true,
  epoch: 3,
  keyId: 'key-3',
  ppkId: 'key-3@net.qkd',
  inUseSinceMs: NOW_MS - 90_000,
  nextRotationMs: NOW_MS + 7_200_000,
  rotations: 3,
  failures: 1,
  lastFailure: 'no key\x1b[2J\r\nfake line',
  burnedKeyIds: ['key-2'],
  sas: [
    {
      uniqueId: '7',
      state: 'ESTABLISHED',
      ppk: true,
      keyId: 'key-3',
      children: [{ name: 'lan', state: 'INSTALLED', bytesIn: 1, bytesOut: 2, packetsIn: 3, packetsOut: 4 }],
    },
  ],
}
const status: IpsecAgentStatus = {
  saeId: 'alice',
  charon: { connected: true, version: '5.9.8', socket: '/run/charon.vici' },
  connections: [connection],
  alarms: [{ id: 'x', connection: 'net', severity: 'major', text: 'it failed', sinceMs: NOW_MS - 3_600_000 }],
}

describe('describeAgent', () => {
  it('says what each IKE_SA stands on, since when and until when', () => {
    expect(describeAgent(status, NOW_MS)).to.deep.equal([
      'alice at strongSwan 5.9.8 (/run/charon.vici)',
      '',
      'net  initiator towards bob (ppk), idle; its agent is connected',
      '  key_ID key-3, for 90 s, the next in 2 h',
      '  3 rotations, 1 failed, the last: no key??fake line',
      '  IKE_SA 7  ESTABLISHED, on a PPK, key_ID key-3',
      '    lan  INSTALLED, 1 bytes in, 2 out',
      '',
      'alarm (major, for 60 min): net: it failed',
    ])
  })

  it('says what is not there', () => {
    const down: IpsecAgentStatus = {
      ...status,
      charon: { ...status.charon, connected: false },
      connections: [{ ...connection, peerConnected: false, keyId: undefined, inUseSinceMs: undefined, sas: [] }],
      alarms: [],
    }
    const text = describeAgent(down, NOW_MS).join('\n')
    expect(text)
      .to.match(/charon does not answer/)
      .and.match(/not connected/)
      .and.match(/no key in use/)
  })
})

describe('describeAgentEvent', () => {
  const variables = { PLUTO_MY_CLIENT: '10.1.0.0/16', PLUTO_PEER_CLIENT: '\x1b]0;x\x07\n10.2.0.0/16' }
  const event = { verb: 'up-client', uniqueId: '7', child: 'lan', reqId: '1', atMs: 0, variables }
  const times = { prepareMs: 1, establishMs: 2, confirmMs: 3, retireMs: 4 }

  for (const [what, happened, text] of [
    [
      'a rotation',
      { type: 'rotated', connection: 'net', epoch: 3, keyId: 'k', ppkId: 'k@net.qkd', uniqueId: '7', times },
      'net: rotation 3, key_ID k is in use, IKE_SA 7, in 10 ms',
    ],
    [
      'a failure',
      { type: 'rotation-failed', connection: 'net', epoch: 3, burnedKeyId: 'k', reason: 'no', retryInMs: 2_000 },
      'net: a rotation failed: no; key_ID k is burned; again in 2 s',
    ],
    [
      'traffic that goes over to a new key',
      { type: 'updown', connection: 'net', keyId: 'k', direction: 'up', edge: false, event },
      'net: lan moved, 10.1.0.0/16 to ?10.2.0.0/16, IKE_SA 7, key_ID k',
    ],
    [
      'a late down',
      { type: 'updown', connection: 'net', keyId: 'k', direction: 'down', edge: false, event },
      'net: lan late down, 10.1.0.0/16 to ?10.2.0.0/16, IKE_SA 7, key_ID k',
    ],
    ['a charon that is gone', { type: 'charon', connected: false, version: undefined }, 'charon is gone'],
  ] as const) {
    it(`tells of ${what} in one line of plain text`, () => {
      expect(describeAgentEvent(happened)).to.equal(text)
    })
  }
})
