import { expect } from 'chai'
import { ViciSession } from '../../../../integrations/strongswan/vici/session.ts'
import { createCertificateAuthority, issueCertificate } from '../../../../lib/index.ts'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { convergence, createIpsecPair, type Gateway } from '../../../helpers/ipsec-pair.ts'

interface Credentials {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** What an admin has in swanctl's folders, loaded as `swanctl --load-creds` does. */
async function loadCredentials({ charon }: Gateway, { ca, certificate, key }: Credentials): Promise<void> {
  await using session = new ViciSession({
    path: charon.viciPath,
    events: [],
    onConnect: async () => {},
    onDisconnect: () => {},
  })
  await session.start()
  for (const [command, message] of [
    ['load-cert', { type: 'X509', flag: 'CA', data: ca }],
    ['load-cert', { type: 'X509', flag: 'NONE', data: certificate }],
    ['load-key', { type: 'any', data: key }],
  ] as const) {
    const answer = await session.request(command, message)
    expect(answer, command).to.include({ success: 'yes' })
  }
}

describe('IpsecAgent beside certificates', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this)
  })

  it('puts the PPK on top of what an admin authenticates with', async () => {
    const authority = createCertificateAuthority({ commonName: 'Gateways', days: 1 })
    const issue = (commonName: string): Credentials => {
      const issued = issueCertificate(authority, { commonName, dnsNames: [commonName], usage: 'both', days: 1 })
      return { ca: authority.certificatePem, certificate: issued.certificatePem, key: issued.privateKeyPem }
    }
    const connection = { auth: 'pubkey', secretFile: undefined } as const
    await using pair = await createIpsecPair({ connection })
    await loadCredentials(pair.a, issue('gateway-a'))
    await loadCredentials(pair.b, issue('gateway-b'))
    await pair.start()
    for (let round = 0; round < 2; round += 1) await pair.rotate()
    expect(await convergence(pair)).to.equal(undefined)
    expect(await pair.charons.a.log()).to.match(/authentication of 'gateway-b' with ECDSA.* successful/)
  })
})
