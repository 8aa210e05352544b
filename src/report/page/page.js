document.title = `${data.model_name} · APreQEL report`;
$('model').textContent = data.model_name;
$('summary').textContent = [data.profile && `${data.profile.layers} layers`, data.profile?.device,
  data.profile && `${data.profile.types.length} uniform types measured`].filter(Boolean).join(' · ');
for (const draw of [drawWhich, drawChosen, drawResult, drawExplorer, drawContribution, drawUniform, drawStudy, drawProvenance]) draw();
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(details => { details.open = true; }));
