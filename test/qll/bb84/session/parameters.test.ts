import { expect } from 'chai'
import {
  agreeParameters,
  parametersDigest,
  type SessionParameters,
} from '../../../../lib/qll/bb84/session/parameters.ts'
import { SHORT_BLOCK_PROTOCOL } from '../../../helpers/bb84-pair.ts'

describe('agreeParameters', () => {
  const given: SessionParameters = { protocol: SHORT_BLOCK_PROTOCOL }

  it('fills in defaults and freezes them', () => {
    const parameters = agreeParameters(given)
    expect(parameters.secrecy).to.equal(1e-10)
    expect(parameters.variant).to.equal('default')
    expect(Object.isFrozen(parameters)).to.equal(true)
  })

  for (const [name, value] of Object.entries({
    secrecy: 1,
    sampleBits: 10,
    frameBits: 65_536.5,
    variant: 'option9',
    maximumErrorRate: 0.6,
    blockSizeBytes: 0,
    reserveTags: 1,
  })) {
    it(`refuses ${name} ${value}, naming it`, () => {
      expect(() => agreeParameters({ ...given, [name]: value } as SessionParameters)).to.throw(new RegExp(name))
    })
  }

  for (const [name, protocol] of Object.entries({
    'protocol.intensities': { ...SHORT_BLOCK_PROTOCOL, intensities: [0.1, 0.3, 0] as const },
    'protocol.probabilities': { ...SHORT_BLOCK_PROTOCOL, probabilities: [0.5, 0.5, 0.5] as const },
    'protocol.keyBasisProbability': { ...SHORT_BLOCK_PROTOCOL, keyBasisProbability: 1 },
  })) {
    it(`refuses ${name} that cannot be, naming them`, () => {
      expect(() => agreeParameters({ protocol })).to.throw(new RegExp(name))
    })
  }
})

describe('parametersDigest', () => {
  it('is the same for the same parameters, in any order, and another for any other', () => {
    const base = agreeParameters({ protocol: SHORT_BLOCK_PROTOCOL, frameBits: 4096, sampleBits: 512 })
    const turned = agreeParameters({ sampleBits: 512, frameBits: 4096, protocol: SHORT_BLOCK_PROTOCOL })
    expect(parametersDigest(base)).to.deep.equal(parametersDigest(turned))
    const digests = [
      base,
      agreeParameters({ ...base, secrecy: 1e-9 }),
      agreeParameters({ ...base, variant: 'original' }),
      agreeParameters({ ...base, protocol: { ...SHORT_BLOCK_PROTOCOL, keyBasisProbability: 0.5 } }),
    ].map(parameters => parametersDigest(parameters).toString('hex'))
    expect(new Set(digests).size).to.equal(4)
  })
})
