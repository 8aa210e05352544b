document.title = `${data.model_name} · APreQEL report`;
$('model').textContent = data.model_name;
$('summary').textContent = [data.profile && `${data.profile.layers} layers`, data.profile?.device,
  data.profile && `${data.profile.types.length} uniform types measured`].filter(Boolean).join(' · ');
for (const draw of [drawExplorer, drawResult, drawContribution, drawUniform, drawStudy, drawProvenance]) draw();
