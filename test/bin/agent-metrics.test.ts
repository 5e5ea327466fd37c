import { expect } from 'chai'
import { serveAgentMetrics } from '../../bin/agent-metrics.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { freePorts } from '../helpers/site-process.ts'

describe('the metrics of an agent', () => {
  it('are served where the command line says, under the name of its host', async () => {
    const [port] = await freePorts(1)
    const telemetry = new TelemetryHub()
    await using _ = await serveAgentMetrics(telemetry, { metrics: `127.0.0.1:${port}`, saeId: 'gw-a', json: true })
    telemetry.gauge('rotation_failures', { integration: 'strongswan', peer: 'gw-b', name: 'a-b' }, 2)
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(page).to.include('qkd_rotation_failures{sae="gw-a",integration="strongswan",peer="gw-b",name="a-b"} 2')
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).to.equal(200)
  })

  it('are served nowhere by default, and not at what is no address', async () => {
    const options = { saeId: 'gw-a', json: false }
    expect(await serveAgentMetrics(new TelemetryHub(), { metrics: undefined, ...options })).to.equal(undefined)
    const error = await serveAgentMetrics(new TelemetryHub(), { metrics: '9090', ...options }).catch(
      (cause: Error) => cause,
    )
    expect((error as Error).message).to.include('--metrics must be host:port')
  })
})
