<#ftl encoding="UTF-8">
<#setting locale="pt_BR">
<#setting number_format="#,##0.00">
<#-- The body of an invoice. -->
<#assign total = 0>
<!DOCTYPE html>
<html>
<body>
  <h1>Fatura ${invoice.number?c}</h1>
  <p>Olá ${customer.name?html}<#if customer.company?has_content> (${customer.company?html})</#if>,</p>
  <#if invoice.items?size gt 0>
  <table>
    <#list invoice.items as item>
    <#assign line = item.quantity * item.price>
    <#assign total = total + line>
    <tr class="${item?item_parity}">
      <td>${item?counter?c}</td>
      <td>${item.description[0..*20]?trim?html}<#if item.description?length &gt; 20>...</#if></td>
      <td>${item.quantity?c} x ${item.price} = R$ ${line}</td>
      <td>${(item.tags![])?join(", ", "-")?html}</td>
    </tr>
    </#list>
  </table>
  <#else>
  <p>Nada a pagar.</p>
  </#if>
  <p>Total: <b>R$ ${total}</b><#if invoice.discount??>, menos ${invoice.discount?string("0.#%")}: R$ ${total * (1 - invoice.discount)}</#if></p>
  <p>Vencimento: ${invoice.due?date("yyyy-MM-dd")?string("EEEE, d 'de' MMMM 'de' yyyy")}</p>
  <#switch invoice.status>
    <#case "open">
  <p>Em aberto.</p>
      <#break>
    <#case "paid">
  <p>Paga.</p>
      <#break>
    <#default>
  <p>Estado: ${invoice.status}</p>
  </#switch>
  <p><a href="https://example.com/pay?q=${(customer.name + " " + invoice.number?c)?url}">Pagar</a></p>
  <p>Cópias: <#list customer.emails as email>${email}<#sep>, </#list></p>
  <p>${customer.phone!"sem telefone"} ${(customer.address.city)!"sem endereço"}</p>
  <#noparse><style>p { color: ${color}; }</style></#noparse>
</body>
</html>
