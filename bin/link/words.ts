import type { LinkSimulation, LinkSimulationEvent } from '../../lib/index.ts'
import { countText, percentText, rateText, timeText } from './units.ts'

type BlockReport = LinkSimulation['blocks'][number]

/** What link it is, in a line. */
export function describeLink({ presetName, design, interceptFraction }: LinkSimulation): string {
  const eve = interceptFraction === 0 ? '' : `, Eve on ${percentText(interceptFraction)} of the pulses`
  const light =
    design.classical === undefined ? '' : `, beside ${design.classical.launchPowerDbm} dBm of classical light`
  return `Preset ${presetName} over ${design.lengthKm} km${light}${eve}`
}

/** What came of it, in a sentence. */
export function verdictText({ blocks, rateBps, deliveredBits }: LinkSimulation): string {
  const given = blocks.filter(({ outcome }) => outcome === 'key').length
  if (given === 0) return `No key: ${blocks[0]?.reason ?? 'no block was sent'}`
  const all = given === blocks.length ? 'every block' : `${given} of ${blocks.length} blocks`
  return `Key from ${all}: ${countText(deliveredBits)} bits that both ends hold, at ${rateText(rateBps)}`
}

/** What became of a block, in a few words. */
export function outcomeText({ outcome, reason }: BlockReport): string {
  return outcome === 'key' ? 'key' : `no key: ${reason}`
}

/** A line for an event, as it happens. */
export function eventLine(event: LinkSimulationEvent): string {
  switch (event.type) {
    case 'planned': {
      const { plan, reachKm } = event.expected
      const { intensities, probabilities, keyBasisProbability } = plan.protocol
      return [
        `expected   ${rateText(plan.rateBps)} at a QBER of ${percentText(plan.qber)}; key up to ${reachKm.toFixed(1)} km`,
        `plays      intensities ${intensities.join(' / ')} with ${probabilities.join(' / ')}, key basis ${keyBasisProbability}`,
      ].join('\n')
    }
    case 'sent':
      return `\nblock ${event.block}\n  sent          ${countText(event.pulses)} pulses in ${timeText(event.linkS)} of the link, ${countText(event.clicks)} clicks`
    case 'stage':
      return `  ${event.stage.padEnd(13)} ${event.ms.toFixed(1)} ms`
    case 'block':
      return blockLine(event.report)
  }
}

function blockLine(report: BlockReport): string {
  if (report.outcome === 'aborted') return `  no key        ${report.reason}`
  const { qber, efficiency, secretBits, authenticationBits, epsilon } = report
  const found = `QBER ${percentText(qber ?? 0)}, efficiency ${efficiency?.toFixed(3) ?? 'none'}`
  const spent = `${countText(authenticationBits)} of them for authentication`
  return `  key           ${countText(secretBits)} bits, ${spent}; ${found}, ε ${epsilon.toExponential(1)}`
}

/** The summary at the end. */
export function summaryLines(simulation: LinkSimulation): string[] {
  const { expected, qber, efficiency, linkS, netSecretBits, stageBps, rateBps } = simulation
  const stages = Object.entries(stageBps).map(([stage, bps]) => `${stage} ${rateText(bps)}`)
  return [
    '',
    verdictText(simulation),
    `rate         ${rateText(rateBps)} (${countText(netSecretBits)} bits net of authentication in ${timeText(linkS)}); model ${rateText(expected.plan.rateBps)}, long keys ${rateText(expected.vacuumWeakBps)}`,
    `QBER         ${qber === undefined ? 'not measured' : percentText(qber)}; model ${percentText(expected.plan.qber)} without an eavesdropper`,
    `efficiency   ${efficiency?.toFixed(3) ?? 'not measured'} (parities over the Shannon limit)`,
    `throughput   ${stages.join(', ')}`,
  ]
}
