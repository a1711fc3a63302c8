// An animal-like figure (a duck) on rippled water before reeds. povray +Iduck.pov +Oduck.png +W480 +H360 +A0.1
#version 3.7;
global_settings { assumed_gamma 1 max_trace_level 8 }
camera { location <0.3, 1.9, -6.5> look_at <0, 0.75, 0> angle 42 }
light_source { <18, 26, -18> rgb <1, 0.97, 0.9> * 1.25 area_light <4,0,0>, <0,4,0>, 4, 4 adaptive 1 jitter }
light_source { <-15, 10, -12> rgb <0.22, 0.27, 0.34> shadowless }
sky_sphere { pigment { bozo scale <0.5, 0.15, 0.5> turbulence 0.7 color_map { [0.4 rgb <0.45, 0.6, 0.8>] [0.7 rgb <0.85, 0.88, 0.9>] } } }
plane { y, 0 pigment { bozo scale 2 turbulence 0.6 color_map { [0 rgb <0.06, 0.13, 0.13>] [1 rgb <0.14, 0.22, 0.17>] } } normal { bumps 0.35 scale <0.7, 1, 0.22> turbulence 0.3 } finish { reflection { 0.08, 0.6 fresnel } conserve_energy specular 0.3 roughness 0.02 } interior { ior 1.33 } }
#declare R = seed(23);
// Reeds and bank.
#declare I = 0; #while (I < 1500)
  #local X = (rand(R) - 0.5) * 20; #local Z = 4.5 + 6 * rand(R); #local H = 1.2 + 2.6 * rand(R);
  cone { <X, -0.1, Z>, 0.035, <X + (rand(R) - 0.5) * 0.9, H, Z + (rand(R) - 0.5)>, 0.004 pigment { rgb <0.25 + 0.35 * rand(R), 0.3 + 0.25 * rand(R), 0.1> } }
  #if (rand(R) < 0.08) sphere { 0, 1 scale <0.05, 0.2, 0.05> translate <X, H, Z> pigment { rgb <0.3, 0.17, 0.08> } } #end
  #declare I = I + 1; #end
box { <-20, -0.2, 10>, <20, 2.4, 14> pigment { granite scale 1.2 color_map { [0 rgb <0.1, 0.15, 0.05>] [1 rgb <0.35, 0.33, 0.18>] } } normal { granite 1 scale 0.5 } }
// Floating leaves.
#declare I = 0; #while (I < 60)
  cylinder { 0, y * 0.012, 0.06 + 0.12 * rand(R) translate <(rand(R) - 0.5) * 9, 0.005, -3 + 7 * rand(R)> pigment { rgb <0.3 + 0.3 * rand(R), 0.35 + 0.15 * rand(R), 0.1> } normal { bumps 0.4 scale 0.05 } }
  #declare I = I + 1; #end

#declare Plumage = texture { pigment { bozo scale <0.16, 0.05, 0.1> turbulence 0.4 color_map { [0 rgb <0.3, 0.2, 0.13>] [0.45 rgb <0.55, 0.42, 0.3>] [0.8 rgb <0.74, 0.64, 0.5>] [1 rgb <0.22, 0.14, 0.1>] } } normal { bumps 0.6 scale <0.08, 0.03, 0.05> } }
#declare Wing = texture { pigment { gradient x scale 0.14 turbulence 0.25 color_map { [0 rgb <0.42, 0.36, 0.32>] [0.6 rgb <0.6, 0.55, 0.5>] [1 rgb <0.2, 0.16, 0.15>] } } normal { bumps 0.6 scale <0.05, 0.02, 0.05> } }
#declare Head = texture { pigment { bozo scale 0.1 color_map { [0 rgb <0.02, 0.2, 0.1>] [1 rgb <0.05, 0.36, 0.2>] } } finish { specular 0.5 roughness 0.05 } }
union {
  blob { threshold 0.5
    sphere { 0, 1, 1.4 scale <1.7, 0.85, 1.0> translate <0.2, 0.35, 0> texture { Plumage } }
    sphere { 0, 0.7, 1 scale <1, 1, 0.9> translate <-0.75, 0.5, 0> texture { Plumage } }
    cylinder { <1.1, 0.55, 0>, <1.75, 0.85, 0>, 0.34, 1 texture { Plumage } } }
  sphere { 0, 1 scale <0.85, 0.34, 0.2> rotate z * 8 translate <0.35, 0.62, -0.62> texture { Wing } }
  blob { threshold 0.5
    cylinder { <-0.85, 0.75, 0>, <-1.02, 1.4, 0>, 0.42, 1.1 }
    sphere { <-1.1, 1.55, 0>, 0.55, 1.3 }
    texture { Head } }
  torus { 0.27, 0.05 rotate z * -14 translate <-0.9, 0.95, 0> pigment { rgb 0.9 } }
  sphere { 0, 1 scale <0.34, 0.075, 0.16> rotate z * 8 translate <-1.6, 1.46, 0> pigment { rgb <0.85, 0.6, 0.1> } finish { specular 0.4 } }
  sphere { <-1.24, 1.66, -0.29>, 0.05 pigment { rgb 0.02 } finish { specular 1 roughness 0.01 } }
  scale 0.95 translate <0.15, 0, 0> }
