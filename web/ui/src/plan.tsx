// The plan of a query as a tree, with what each operator took.

import type { Explanation, Operator, PlanNode, Stats } from './api'
import { count, formatNumber } from './format'

export function Plan({ explanation, stats }: { explanation: Explanation | null; stats?: Stats }) {
  if (!explanation) return <p class="empty">The plan comes with the answer.</p>
  const operators = stats?.operators
  const total = Math.max(1e-9, ...flat(operators).map((o) => o.execution?.busySeconds ?? 0))
  return (
    <div class="plan">
      <p class="note">
        Evaluated by the {explanation.executor} executor.
        {explanation.rules.length > 0 && ` Rewritten: ${explanation.rules.map((r) => r.rule ?? r.name).join(', ')}.`}
      </p>
      <ul class="tree"><Node node={explanation.plan} took={operators} total={total} /></ul>
    </div>
  )
}

const flat = (o?: Operator): Operator[] => (o ? [o, ...(o.children ?? []).flatMap(flat)] : [])

function Node({ node, took, total }: { node: PlanNode; took?: Operator; total: number }) {
  const cost = took?.execution ?? node.execution
  const busy = cost?.busySeconds ?? 0
  return (
    <li>
      <div class="operator">
        <b>{node.operator}</b>
        {node.executor !== 'columnar' && <em>{node.executor}</em>}
        <code>{node.expr}</code>
        <span class="cost">
          {node.selector && `${count(node.selector.series)} series, ${node.selector.resolution} `}
          {cost && [
            `${formatNumber(busy, 'seconds')} busy`,
            cost.series !== undefined && `${count(cost.series)} series out`,
            cost.samples ? `${formatNumber(cost.samples, 'short')} samples` : '',
            cost.peakBytes ? `${formatNumber(cost.peakBytes, 'bytes')} at most` : '',
          ].filter(Boolean).join(' · ')}
        </span>
        {cost && <i class="share" style={{ width: `${Math.min(100, (busy / total) * 100)}%` }} />}
      </div>
      {node.children && node.children.length > 0 && (
        <ul>{node.children.map((c, i) => <Node key={i} node={c} took={took?.children?.[i]} total={total} />)}</ul>
      )}
    </li>
  )
}
