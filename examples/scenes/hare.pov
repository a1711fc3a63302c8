// An animal-like figure (a hare) in a meadow before a wood. povray +Ihare.pov +Ohare.png +W480 +H360 +A0.1
#version 3.7;
global_settings { assumed_gamma 1 max_trace_level 6 }
camera { location <0, 1.7, -6> look_at <0.15, 1.05, 0> angle 44 }
light_source { <-20, 30, -25> rgb <1, 0.95, 0.85> * 1.3 area_light <4,0,0>, <0,4,0>, 4, 4 adaptive 1 jitter }
light_source { <20, 8, -10> rgb <0.25, 0.3, 0.4> shadowless }
sky_sphere { pigment { gradient y color_map { [0 rgb <0.75, 0.82, 0.9>] [0.6 rgb <0.3, 0.5, 0.8>] } } }

// Ground: soil and moss, uneven.
plane { y, 0 pigment { bozo scale 0.35 turbulence 0.8 color_map { [0 rgb <0.10, 0.16, 0.05>] [0.6 rgb <0.18, 0.24, 0.07>] [1 rgb <0.26, 0.2, 0.1>] } } normal { bumps 0.9 scale 0.08 } }
// Grass: blades of random height and lean.
#declare R = seed(11);
#macro Blade(X, Z, H) cone { <X, 0, Z>, 0.022, <X + (rand(R) - 0.5) * 0.25, H, Z + (rand(R) - 0.5) * 0.2>, 0.002
  pigment { rgb <0.13 + 0.18 * rand(R), 0.3 + 0.2 * rand(R), 0.06> } } #end
#declare I = 0; #while (I < 9000)
  #local Z = -3.2 + 9 * pow(rand(R), 1.4); #local X = (rand(R) - 0.5) * (7 + Z * 0.8);
  Blade(X, Z, 0.12 + 0.28 * rand(R)) #declare I = I + 1; #end
// Wood: trunks and clumps of leaves far behind.
#declare I = 0; #while (I < 45)
  #local X = (rand(R) - 0.5) * 26; #local Z = 9 + 9 * rand(R);
  cylinder { <X, 0, Z>, <X + rand(R) - 0.5, 8, Z>, 0.12 + 0.22 * rand(R) pigment { wrinkles scale <0.2, 1, 0.2> color_map { [0 rgb <0.12, 0.08, 0.05>] [1 rgb <0.32, 0.25, 0.18>] } } normal { wrinkles 1 scale 0.2 } }
  #declare I = I + 1; #end
#declare I = 0; #while (I < 900)
  sphere { <(rand(R) - 0.5) * 26, 0.2 + 6 * rand(R), 8.5 + 9 * rand(R)>, 0.25 + 0.4 * rand(R)
    pigment { bozo scale 0.1 color_map { [0 rgb <0.04, 0.12, 0.03>] [1 rgb <0.2, 0.36 + 0.12 * rand(R), 0.1>] } } normal { bumps 1.2 scale 0.07 } }
  #declare I = I + 1; #end

#declare Fur = texture {
  pigment { bozo scale <0.05, 0.14, 0.05> turbulence 0.5 color_map { [0 rgb <0.36, 0.23, 0.12>] [0.5 rgb <0.55, 0.37, 0.2>] [1 rgb <0.68, 0.5, 0.3>] } }
  normal { bumps 0.7 scale <0.015, 0.08, 0.015> } finish { diffuse 0.8 } }
#declare Pale = texture { pigment { bozo scale 0.06 color_map { [0 rgb <0.75, 0.68, 0.55>] [1 rgb <0.9, 0.85, 0.75>] } } normal { bumps 0.5 scale 0.03 } }
union {
  blob { threshold 0.5
    sphere { <0, 0, 0>, 1.25, 1.2 scale <1.1, 1, 0.85> translate <0.45, 0.85, 0> }
    sphere { <0, 0, 0>, 0.95, 1.1 scale <0.8, 1.1, 0.8> translate <-0.15, 1.05, -0.1> }
    sphere { <0, 0, 0>, 0.62, 1.2 scale <1.15, 1, 0.9> translate <-0.5, 1.75, -0.15> }
    sphere { <-0.82, 1.62, -0.18>, 0.36, 1 }
    sphere { <0.85, 0.4, -0.35>, 0.75, 1 }
    cylinder { <-0.35, 0.8, -0.4>, <-0.5, 0.1, -0.55>, 0.3, 1 }
    cylinder { <-0.25, 0.8, 0.25>, <-0.38, 0.1, 0.2>, 0.3, 1 }
    sphere { <0, 0, 0>, 0.5, 1 scale <1.5, 0.55, 0.7> translate <0.55, 0.14, -0.55> }
    texture { Fur } }
  #declare S = -1; #while (S < 2)
    sphere { 0, 1 scale <0.1, 0.58, 0.17> rotate <S * 10, 0, -14> translate <-0.32, 2.45, -0.12 + 0.17 * S> texture { Fur } }
    #declare S = S + 2; #end
  sphere { <-0.66, 1.83, -0.46>, 0.075 pigment { rgb <0.03, 0.02, 0.02> } finish { specular 1 roughness 0.01 } }
  sphere { <-1.02, 1.62, -0.22>, 0.055 pigment { rgb <0.25, 0.12, 0.1> } }
  sphere { <1.42, 0.72, 0>, 0.26 texture { Pale } }
  sphere { 0, 1 scale <0.3, 0.42, 0.2> translate <-0.42, 1.02, -0.55> texture { Pale } }
  scale 0.82 translate <0.1, 0, 0> }
