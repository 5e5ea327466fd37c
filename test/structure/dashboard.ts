/** The Grafana dashboard of docs/monitoring, from which `npm run docs` writes its file. */

/** One curve, table or number: what is asked of Prometheus, and what each series is called. */
interface Query {
  readonly expr: string
  readonly legend: string
}

interface PanelWords {
  readonly title: string
  readonly description: string
  readonly kind: 'timeseries' | 'stat' | 'table'
  /** Of 24 columns. */
  readonly width: number
  readonly unit?: string
  readonly queries: readonly Query[]
  /** Values from which on it is worth a look: yellow, then red. */
  readonly thresholds?: readonly [number, number]
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' }
const HEIGHT = 7
const COLUMNS = 24
const SITE = 'site=~"$site"'

const panels: readonly PanelWords[] = [
  {
    title: 'Alarms that stand',
    description: 'Alarms of the sites, with who has seen to them: qkd alarm list, qkd alarm ack',
    kind: 'table',
    width: 12,
    queries: [{ expr: `qkd_alarm_state{${SITE}}`, legend: '{{site}} {{id}} {{state}}' }],
  },
  {
    title: 'Links up',
    description: '1 while a link gives key',
    kind: 'stat',
    width: 6,
    queries: [{ expr: `qkd_link_up{${SITE}}`, legend: '{{site}} {{link}}' }],
  },
  {
    title: 'Peers connected',
    description: '1 while the KMS of the other site is connected',
    kind: 'stat',
    width: 6,
    queries: [{ expr: `qkd_peer_connected{${SITE}}`, legend: '{{site}} to {{peer}}' }],
  },
  {
    title: 'Stock and reorder point',
    description: 'Cells in stock and on their way, and the point below which the network gives too little',
    kind: 'timeseries',
    width: 12,
    queries: [
      { expr: `qkd_pool_position_cells{${SITE}}`, legend: '{{site}} to {{peer}}' },
      { expr: `qkd_pool_reorder_cells{${SITE}}`, legend: '{{site}} to {{peer}}: reorder point' },
      { expr: `qkd_pool_base_stock_cells{${SITE}}`, legend: '{{site}} to {{peer}}: base stock' },
    ],
  },
  {
    title: 'Key made and used',
    description: 'What comes into each pool, and what hosts of both sites take',
    kind: 'timeseries',
    width: 12,
    unit: 'bps',
    queries: [
      { expr: `qkd_pool_generation_bps{${SITE}}`, legend: '{{site}} to {{peer}}: made' },
      { expr: `qkd_pool_consumption_bps{${SITE}}`, legend: '{{site}} to {{peer}}: used here' },
      { expr: `qkd_pool_peer_consumption_bps{${SITE}}`, legend: '{{site}} to {{peer}}: used there' },
    ],
  },
  {
    title: 'Time to exhaustion',
    description: 'How long the stock lasts at the present rate',
    kind: 'timeseries',
    width: 8,
    unit: 's',
    queries: [{ expr: `qkd_pool_exhaustion_seconds{${SITE}}`, legend: '{{site}} to {{peer}}' }],
  },
  {
    title: 'Keys issued and fetched',
    description: 'By security level',
    kind: 'timeseries',
    width: 8,
    unit: 'ops',
    queries: [
      { expr: `sum by (site, level) (rate(qkd_keys_issued_total{${SITE}}[5m]))`, legend: '{{site}} issued {{level}}' },
      {
        expr: `sum by (site, level) (rate(qkd_keys_fetched_total{${SITE}}[5m]))`,
        legend: '{{site}} fetched {{level}}',
      },
    ],
  },
  {
    title: 'Waiting and refused requests',
    description: 'Requests that wait for key now, and those refused, by reason',
    kind: 'timeseries',
    width: 8,
    queries: [
      { expr: `qkd_pool_waiting_requests{${SITE}}`, legend: '{{site}} to {{peer}} waiting' },
      { expr: `sum by (site, code) (rate(qkd_requests_refused_total{${SITE}}[5m]))`, legend: '{{site}} {{code}}' },
    ],
  },
  {
    title: 'Link rates',
    description: 'Secret key that each link yields',
    kind: 'timeseries',
    width: 12,
    unit: 'bps',
    queries: [{ expr: `qkd_link_rate_bps{${SITE}}`, legend: '{{site}} {{link}}' }],
  },
  {
    title: 'Quantum bit error rate',
    description: 'At about 11 % no secret key is left',
    kind: 'timeseries',
    width: 12,
    unit: 'percentunit',
    queries: [{ expr: `qkd_link_qber{${SITE}}`, legend: '{{site}} {{link}}' }],
    thresholds: [0.08, 0.11],
  },
  {
    title: 'Rotations that failed in a row',
    description: 'Of IPsec connections and Kerberos principals, as their agents say (qkd … agent --metrics)',
    kind: 'timeseries',
    width: 8,
    queries: [{ expr: 'qkd_rotation_failures', legend: '{{integration}} {{name}}' }],
    thresholds: [1, 3],
  },
  {
    title: 'Age of keys in use',
    description: 'Of IPsec connections and Kerberos principals',
    kind: 'timeseries',
    width: 8,
    unit: 's',
    queries: [{ expr: 'time() - qkd_rotation_key_since_seconds', legend: '{{integration}} {{name}}' }],
  },
  {
    title: 'kvno',
    description: 'Of Kerberos principals; those with a limit end there',
    kind: 'timeseries',
    width: 8,
    queries: [
      { expr: 'qkd_kerberos_kvno', legend: '{{principal}}' },
      { expr: 'qkd_kerberos_kvno_limit', legend: '{{principal}}: limit' },
    ],
  },
  {
    title: 'Clock skew',
    description: 'What is certain of the difference of two clocks',
    kind: 'timeseries',
    width: 8,
    unit: 's',
    queries: [
      {
        expr: `abs(qkd_peer_clock_skew_seconds{${SITE}}) - qkd_peer_clock_error_seconds{${SITE}}`,
        legend: '{{site}} to {{peer}}',
      },
    ],
    thresholds: [0.5, 1],
  },
  {
    title: 'Certificates end in',
    description: 'Of every certificate in use',
    kind: 'stat',
    width: 8,
    unit: 's',
    queries: [{ expr: `qkd_certificate_expiry_seconds{${SITE}} - time()`, legend: '{{site}} {{certificate}}' }],
  },
  {
    title: 'Store and audit',
    description: 'Audit log blocked; store with a synchronous standby; age of the secrets with other sites',
    kind: 'stat',
    width: 8,
    queries: [
      { expr: `qkd_audit_blocked{${SITE}}`, legend: '{{site}} audit blocked' },
      { expr: `qkd_store_synchronous{${SITE}}`, legend: '{{site}} store synchronous' },
      { expr: `qkd_pair_secret_age_seconds{${SITE}}`, legend: '{{site}} to {{peer}}: age of the secret, s' },
    ],
  },
]

/** The dashboard in Grafana's JSON model. */
export function grafanaDashboard(): Record<string, unknown> {
  return {
    uid: 'qkdkit',
    title: 'qkdkit',
    description: 'Sites of a QKD network: pools, links, keys, agents, alarms',
    tags: ['qkd'],
    editable: true,
    graphTooltip: 1,
    schemaVersion: 39,
    version: 1,
    refresh: '30s',
    timezone: 'browser',
    time: { from: 'now-1h', to: 'now' },
    annotations: { list: [] },
    templating: {
      list: [
        { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', current: {}, hide: 0 },
        {
          name: 'site',
          label: 'Site',
          type: 'query',
          datasource: DATASOURCE,
          query: { query: 'label_values(qkd_peer_connected, site)', refId: 'site' },
          definition: 'label_values(qkd_peer_connected, site)',
          includeAll: true,
          allValue: '.*',
          multi: true,
          refresh: 2,
          sort: 1,
          current: {},
          hide: 0,
        },
      ],
    },
    panels: placed(panels),
  }
}

/** Rows from left to right, each as high as the others. */
function placed(words: readonly PanelWords[]): Record<string, unknown>[] {
  let x = 0
  let y = 0
  return words.map((panel, index) => {
    if (x + panel.width > COLUMNS) {
      x = 0
      y += HEIGHT
    }
    const at = { h: HEIGHT, w: panel.width, x, y }
    x += panel.width
    return panelOf(panel, { id: index + 1, at })
  })
}

function panelOf(
  { title, description, kind, unit = 'none', queries, thresholds }: PanelWords,
  { id, at }: { id: number; at: Record<string, number> },
): Record<string, unknown> {
  const [yellow, red] = thresholds ?? []
  const steps = [
    { color: 'green', value: null },
    ...(yellow === undefined ? [] : [{ color: 'yellow', value: yellow }]),
    ...(red === undefined ? [] : [{ color: 'red', value: red }]),
  ]
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    gridPos: at,
    fieldConfig: { defaults: { unit, thresholds: { mode: 'absolute', steps } }, overrides: [] },
    options: optionsOf(kind),
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(kind === 'timeseries' ? { range: true } : { instant: true, range: false }),
      ...(kind === 'table' && { format: 'table' }),
    })),
  }
}

function optionsOf(kind: PanelWords['kind']): Record<string, unknown> {
  if (kind === 'table') return { showHeader: true }
  if (kind === 'stat') return { reduceOptions: { calcs: ['lastNotNull'], values: false }, textMode: 'value_and_name' }
  return { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
}
