import { expect } from 'chai'
import { etsi014OpenApi } from '../../lib/index.ts'
import { runQkd } from './run-qkd.ts'

describe('qkd kme openapi', () => {
  for (const args of [[], ['--json']]) {
    it(`prints the document of the ETSI 014 server${args.length > 0 ? ' on one line' : ''}`, async () => {
      const { exitCode, stdout } = await runQkd(['kme', 'openapi', ...args])
      expect(exitCode).to.equal(0)
      expect(JSON.parse(stdout)).to.deep.equal(JSON.parse(JSON.stringify(etsi014OpenApi)))
      expect(stdout.trim().split('\n').length === 1).to.equal(args.length > 0)
    })
  }
})
